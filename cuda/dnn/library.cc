#include "cuda/dnn/library.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cuda/dnn/companions.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "libcudnn.so.9";
constexpr std::size_t kOldestVersion = 90000;
// Newest CUDA known; its driver supports every cuDNN so far.
constexpr int kNewestCuda = 13;
// Parts of cuDNN in the order of their dependencies.
constexpr std::array kParts = {
    "graph",     "ops", "cnn", "adv", "engines_precompiled", "engines_runtime_compiled", "engines_tensor_ir",
    "heuristic", "ext"};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void add_folder(std::vector<CudnnPlace>* places, const std::string& source, const fs::path& folder) {
  places->push_back({source, (folder / kName).string(), 0, folder.string()});
}

void add_variable(std::vector<CudnnPlace>* places, const Environment& environment, const char* name,
                  std::initializer_list<const char*> folders) {
  const std::string root = environment(name);
  if (root.empty()) return;
  for (const char* folder : folders) add_folder(places, name, fs::path(root) / folder);
}

/// Adds lib, then the wheel's folder of every Python 3 below it, by name.
void add_python_root(std::vector<CudnnPlace>* places, const Environment& environment, const char* name) {
  const std::string root = environment(name);
  if (root.empty()) return;
  const fs::path lib = fs::path(root) / "lib";
  add_folder(places, name, lib);
  std::vector<fs::path> pythons;
  std::error_code error;
  for (fs::directory_iterator entry(lib, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().starts_with("python3.")) pythons.push_back(entry->path());
  }
  std::sort(pythons.begin(), pythons.end());
  for (const fs::path& python : pythons) add_folder(places, name, python / "site-packages/nvidia/cudnn/lib");
}

void add_explicit(std::vector<CudnnPlace>* places, const Environment& environment) {
  const std::string value = environment("DPM_CUDNN_PATH");
  if (value.empty()) return;
  std::error_code ignored;
  const fs::path path(value);
  if (fs::is_directory(path, ignored)) {
    add_folder(places, "DPM_CUDNN_PATH", path);
  } else {
    places->push_back({"DPM_CUDNN_PATH", value, 0, path.parent_path().string()});
  }
}

/// Opens cuDNN's own parts, because setting LD_LIBRARY_PATH has no effect on a running process and cuDNN would not find
/// them. A part that fails to open is left for cuDNN to report: it may not be needed.
void open_parts(const Loader& loader, const std::string& folder) {
  for (const char* part : kParts) {
    const fs::path path = fs::path(folder) / ("libcudnn_" + std::string(part) + ".so.9");
    std::string ignored;
    if (is_there(path)) loader.open(path.string(), RTLD_NOW | RTLD_GLOBAL, &ignored);
  }
}

template <typename Function>
void resolve(const Loader& loader, void* handle, const char* name, Function* function, std::string* missing) {
  *function = reinterpret_cast<Function>(loader.symbol(handle, name));
  if (*function == nullptr) *missing += std::string(missing->empty() ? "" : ", ") + name;
}

/// Returns the missing names, separated by commas; empty when all are there.
std::string resolve_all(const Loader& loader, void* handle, CudnnLibrary* library) {
  std::string missing;
  resolve(loader, handle, "cudnnGetVersion", &library->get_version, &missing);
  resolve(loader, handle, "cudnnGetCudartVersion", &library->get_cudart_version, &missing);
  resolve(loader, handle, "cudnnGetErrorString", &library->get_error_string, &missing);
  resolve(loader, handle, "cudnnGetLastErrorString", &library->get_last_error_string, &missing);
  resolve(loader, handle, "cudnnCreate", &library->create, &missing);
  resolve(loader, handle, "cudnnDestroy", &library->destroy, &missing);
  resolve(loader, handle, "cudnnSetStream", &library->set_stream, &missing);
  resolve(loader, handle, "cudnnBackendCreateDescriptor", &library->create_descriptor, &missing);
  resolve(loader, handle, "cudnnBackendDestroyDescriptor", &library->destroy_descriptor, &missing);
  resolve(loader, handle, "cudnnBackendFinalize", &library->finalize, &missing);
  resolve(loader, handle, "cudnnBackendSetAttribute", &library->set_attribute, &missing);
  resolve(loader, handle, "cudnnBackendGetAttribute", &library->get_attribute, &missing);
  resolve(loader, handle, "cudnnBackendExecute", &library->execute, &missing);
  return missing;
}

/// Returns the reason why a driver refuses a cuDNN for CUDA `major`; empty where it does not.
std::string refusal_of(int driver, int major) {
  if (major <= driver / 1000) return {};
  return "is for CUDA " + std::to_string(major) + ", the driver supports CUDA " + std::to_string(driver / 1000) + "." +
         std::to_string(driver % 1000 / 10);
}

/// Returns the CUDA version that the cuDNN at a place is for; 0 where it cannot be found out. Asking makes it open
/// parts of its own, which stay open and which another cuDNN would find in place of its own. So it is opened in
/// isolation for the question, unless it is in use already.
int cuda_of(const CudnnPlace& place, const Loader& loader) {
  std::string ignored;
  const bool is_loaded = (place.flags & RTLD_NOLOAD) != 0;
  void* handle = is_loaded ? loader.open(place.name, RTLD_NOW | place.flags, &ignored) : loader.open_apart(place.name);
  if (handle == nullptr) return 0;
  decltype(&cudnnGetCudartVersion) version = nullptr;
  resolve(loader, handle, "cudnnGetCudartVersion", &version, &ignored);
  const int major = version == nullptr ? 0 : static_cast<int>(version() / 1000);
  loader.close(handle);
  return major;
}

/// Tries one place; returns the reason of a failure, empty on success.
std::string try_place(const Environment& environment, const CudnnPlace& place, const Loader& loader, int driver,
                      CudnnLibrary* library) {
  if (!place.folder.empty() && !is_there(place.name)) return "no such file";
  if (driver / 1000 < kNewestCuda) {
    const std::string refusal = refusal_of(driver, cuda_of(place, loader));
    if (!refusal.empty()) return refusal;
  }
  if (!place.folder.empty()) open_parts(loader, place.folder);
  std::string error;
  void* handle = loader.open(place.name, RTLD_NOW | RTLD_GLOBAL | place.flags, &error);
  if (handle == nullptr) return (place.flags & RTLD_NOLOAD) != 0 ? "not loaded" : error;
  CudnnLibrary found;
  // The version of an older cuDNN that lacks required functions is a better message than the list of them.
  std::string no_version;
  resolve(loader, handle, "cudnnGetVersion", &found.get_version, &no_version);
  if (!no_version.empty()) return "is not cuDNN: cudnnGetVersion is missing";
  found.version = found.get_version();
  if (found.version < kOldestVersion) {
    return "version " + std::to_string(found.version) + ", at least " + std::to_string(kOldestVersion) + " is needed";
  }
  const std::string missing = resolve_all(loader, handle, &found);
  if (!missing.empty()) return "lacks " + missing;
  const int cuda = static_cast<int>(found.get_cudart_version() / 1000);
  const std::string refusal = refusal_of(driver, cuda);
  if (!refusal.empty()) return refusal;
  const std::string companions = open_companions(environment, loader, loader.folder(handle), cuda);
  if (!companions.empty()) return "needs what is not found: " + companions;
  found.path = place.name;
  *library = std::move(found);
  return {};
}

int driver_version() {
  int version = 0;
  check_cuda(cudaDriverGetVersion(&version), "asking for the driver's version");
  return version;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::string {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
  };
}

Loader system_loader() {
  Loader loader;
  loader.open = [](const std::string& name, int flags, std::string* error) -> void* {
    void* handle = dlopen(name.c_str(), flags);
    if (handle == nullptr) {
      const char* message = dlerror();
      *error = message == nullptr ? "cannot be opened" : message;
    }
    return handle;
  };
  loader.open_apart = [](const std::string& name) { return dlmopen(LM_ID_NEWLM, name.c_str(), RTLD_NOW | RTLD_LOCAL); };
  loader.close = [](void* handle) { (void)dlclose(handle); };
  loader.symbol = [](void* handle, const char* name) { return dlsym(handle, name); };
  loader.folder = [](void* handle) -> std::string {
    const link_map* map = nullptr;
    const bool known = dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 && map != nullptr;
    return known ? fs::path(map->l_name).parent_path().string() : std::string();
  };
  return loader;
}

std::vector<CudnnPlace> cudnn_places(const Environment& environment) {
  std::vector<CudnnPlace> places;
  add_explicit(&places, environment);
  places.push_back({"already loaded", kName, RTLD_NOLOAD, ""});
  add_variable(&places, environment, "CUDNN_PATH", {"lib"});
  add_variable(&places, environment, "CUDA_HOME", {"lib64", "lib"});
  add_variable(&places, environment, "CUDA_PATH", {"lib64", "lib"});
  add_python_root(&places, environment, "VIRTUAL_ENV");
  add_python_root(&places, environment, "CONDA_PREFIX");
  places.push_back({"system loader", kName, 0, ""});
  return places;
}

bool open_cudnn(const Environment& environment, const Loader& loader, int driver, CudnnLibrary* library,
                std::string* reason) {
  std::string lines;
  bool found = false;
  for (const CudnnPlace& place : cudnn_places(environment)) {
    const std::string failure = try_place(environment, place, loader, driver, library);
    found = failure.empty();
    const std::string outcome = found ? "cuDNN version " + std::to_string(library->version) : failure;
    lines += place.source + ": " + place.name + ": " + outcome + "\n";
    if (found) break;
  }
  if (reason != nullptr) *reason = lines;
  return found;
}

const CudnnLibrary* find_cudnn(std::string* reason) {
  struct Search {
    CudnnLibrary library;
    std::string reason;
    bool found = open_cudnn(process_environment(), system_loader(), driver_version(), &library, &reason);
  };
  static const Search search;
  if (reason != nullptr) *reason = search.reason;
  return search.found ? &search.library : nullptr;
}

}  // namespace dpm::cuda
