#include "cuda/dnn/companions.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>
#include <vector>

namespace dpm::cuda {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> companion_folders(const Environment& environment, const std::string& folder, int major) {
  std::vector<fs::path> folders;
  if (!folder.empty()) {
    const fs::path here(folder);
    const fs::path wheels = here / "../..";
    folders = {here, wheels / ("cu" + std::to_string(major)) / "lib", wheels / "cublas/lib", wheels / "cuda_nvrtc/lib"};
  }
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string root = environment(variable);
    if (root.empty()) continue;
    folders.push_back(fs::path(root) / "lib64");
    folders.push_back(fs::path(root) / "lib");
  }
  return folders;
}

bool open_companion(const Loader& loader, const std::vector<fs::path>& folders, const std::string& name) {
  std::string ignored;
  if (loader.open(name, RTLD_NOW | RTLD_GLOBAL, &ignored) != nullptr) return true;
  for (const fs::path& folder : folders) {
    const fs::path path = folder / name;
    std::error_code error;
    if (!fs::exists(path, error)) continue;
    if (loader.open(path.string(), RTLD_NOW | RTLD_GLOBAL, &ignored) != nullptr) return true;
  }
  return false;
}

}  // namespace

std::string open_companions(const Environment& environment, const Loader& loader, const std::string& folder,
                            int major) {
  const std::vector<fs::path> folders = companion_folders(environment, folder, major);
  // Only some versions need NVRTC, and those report its absence in a status.
  open_companion(loader, folders, "libnvrtc.so." + std::to_string(major));
  const std::string needed = "libcublasLt.so." + std::to_string(major);
  return open_companion(loader, folders, needed) ? "" : needed;
}

}  // namespace dpm::cuda
