// cuDNN, opened when the program runs and never linked.
#pragma once

#include <cudnn.h>

#include <functional>
#include <string>
#include <vector>

namespace dpm::cuda {

/// The functions of cuDNN in use, all non-null, and the library that they come from. It lives as long as the process.
struct CudnnLibrary {
  decltype(&cudnnGetVersion) get_version = nullptr;
  decltype(&cudnnGetCudartVersion) get_cudart_version = nullptr;
  decltype(&cudnnGetErrorString) get_error_string = nullptr;
  decltype(&cudnnGetLastErrorString) get_last_error_string = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
  decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;
  /// Version as major * 10000 + minor * 100 + patch, at least 90000.
  std::size_t version = 0;
  /// Name that the library was opened by.
  std::string path;
};

/// Returns the value of an environment variable, empty when unset.
using Environment = std::function<std::string(const std::string& name)>;

/// The dynamic loader that the search uses; tests use another one.
struct Loader {
  /// Opens a library: a handle, or null with the loader's message in `error`; `flags` as for dlopen.
  std::function<void*(const std::string& name, int flags, std::string* error)> open;
  /// Opens a library in isolation: it shares no other library with the rest of the process.
  std::function<void*(const std::string& name)> open_apart;
  std::function<void(void* handle)> close;
  /// Returns the address of `name`, or null.
  std::function<void*(void* handle, const char* name)> symbol;
  /// Returns the folder of an open library, or empty.
  std::function<std::string(void* handle)> folder;
};

/// A place to try.
struct CudnnPlace {
  /// Reason for trying it, e.g. `CUDNN_PATH`.
  std::string source;
  /// Name for dlopen.
  std::string name;
  /// Extra dlopen flags, e.g. RTLD_NOLOAD.
  int flags = 0;
  /// Folder whose sub-libraries must be opened first; empty when the loader finds them by itself.
  std::string folder;
};

Environment process_environment();
Loader system_loader();

/// Lists every place to try, in order; wildcards are already resolved against the file system.
std::vector<CudnnPlace> cudnn_places(const Environment& environment);

/// Tries the places in order. Returns true and fills `library` on success. `reason`, if given, receives a line with the
/// result for every place tried. A cuDNN is passed over if it is for a newer CUDA than `driver` supports (as
/// cudaDriverGetVersion says), or if its companions (companions.h) are not found.
bool open_cudnn(const Environment& environment, const Loader& loader, int driver, CudnnLibrary* library,
                std::string* reason);

/// Returns the library of this process, or null; the search is done once. `reason` as for `open_cudnn`.
const CudnnLibrary* find_cudnn(std::string* reason);

}  // namespace dpm::cuda
