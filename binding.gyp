# Hands the build over to CMake, for tools that only know node-gyp. Not published.
{
  "targets": [{
    "target_name": "dpm_native",
    "type": "none",
    "actions": [{
      "action_name": "cmake",
      "message": "building through CMake",
      "inputs": ["CMakeLists.txt"],
      "outputs": ["<(PRODUCT_DIR)/dpm_native.node"],
      "action": ["node", "scripts/native-build.cjs", "--config", "<(CONFIGURATION_NAME)", "--out", "<(PRODUCT_DIR)"]
    }]
  }]
}
