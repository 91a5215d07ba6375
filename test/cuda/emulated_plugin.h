// Paths of the emulated plug-ins: beside the tests' program, for any name of the build's folder, so that a compiler
// cache serves every clone.
#pragma once

#include <filesystem>
#include <string>

namespace dpm::test {

inline std::string emulated_plugin(const char* name = "libdpm_cuda_emulated.so") {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "emulated" / name).string();
}

}  // namespace dpm::test
