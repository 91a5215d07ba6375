// The installed cuDNN and described GPUs, for machines without a GPU.
#pragma once

#include <dlfcn.h>

#include <fstream>
#include <sstream>
#include <string>

#include "cuda/dnn/library.h"

namespace dpm::cuda {

/// Returns whether NVIDIA's driver is installed.
inline bool has_driver() {
  static const bool present = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) != nullptr;
  return present;
}

/// Returns cuDNN, or null where it is not installed. First puts a stand-in in place of a missing driver.
inline const CudnnLibrary* real_cudnn(std::string* reason) {
  static const bool opens = has_driver() || dlopen(DPM_DRIVER_STUB, RTLD_NOW | RTLD_GLOBAL) != nullptr;
  if (opens) return find_cudnn(reason);
  *reason = "neither a driver nor its stand-in opens";
  return nullptr;
}

/// Returns the name of the kernel that cuDNN compiled last on this thread, empty when it has compiled none since
/// `forget_kernel`.
inline std::string last_kernel() {
  const auto name = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "dpm_stub_last_kernel"));
  return name == nullptr ? "" : name();
}
inline void forget_kernel() {
  const auto forget = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "dpm_stub_forget_kernel"));
  if (forget != nullptr) forget();
}

/// Returns cuDNN's description of a GPU, with the names that cuDNN 9.28 asks for; 9.19 accepts them, too. The
/// description of the H100 was put together from its data sheet; scripts/gpu-check reads the description of the GPU
/// that it runs on.
inline std::string card_json(const std::string& name) {
  std::ifstream file(std::string(DPM_SOURCE_DIR "/test/cuda/dnn/cards/") + name + ".json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace dpm::cuda
