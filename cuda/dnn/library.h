// cuDNN, opened when the program runs and never linked.
#pragma once

#include <cudnn.h>

#include <functional>
#include <string>
#include <vector>

namespace dpm::cuda {

/// The calls of cuDNN in use, all non-null, and where they come from. Lives as long as the process.
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
  /// major * 10000 + minor * 100 + patch, at least 90000.
  std::size_t version = 0;
  /// The name it was opened by.
  std::string path;
};

/// Value of an environment variable, empty when unset.
using Environment = std::function<std::string(const std::string& name)>;

/// The dynamic loader as the search uses it; tests give another one.
struct Loader {
  /// Handle, or null with the loader's message in `error`; `flags` as for dlopen.
  std::function<void*(const std::string& name, int flags, std::string* error)> open;
  /// The same where nothing else of the process sees it: it has no part in common, and gets none.
  std::function<void*(const std::string& name)> open_apart;
  std::function<void(void* handle)> close;
  /// Address of `name`, or null.
  std::function<void*(void* handle, const char* name)> symbol;
  /// The folder an open library lies in, or empty.
  std::function<std::string(void* handle)> folder;
};

/// One name to try.
struct CudnnPlace {
  /// Why it is tried, e.g. `CUDNN_PATH`.
  std::string source;
  /// What dlopen is given.
  std::string name;
  /// Extra dlopen flags, e.g. RTLD_NOLOAD.
  int flags = 0;
  /// The folder whose sub-libraries must be opened first; empty when the loader finds them by itself.
  std::string folder;
};

Environment process_environment();
Loader system_loader();

/// Every place to try, in order; wildcards are already resolved against the file system.
std::vector<CudnnPlace> cudnn_places(const Environment& environment);

/// Tries the places in order. True and a filled `library` on success. `reason`, if given, gets one line for
/// every place tried, with what came of it. A cuDNN for a newer CUDA than `driver` supports (as cudaDriverGetVersion
/// says) or whose companions (companions.h) are not found is passed over.
bool open_cudnn(const Environment& environment, const Loader& loader, int driver, CudnnLibrary* library,
                std::string* reason);

/// The library of this process, or null; searched for once. `reason` as for `open_cudnn`.
const CudnnLibrary* find_cudnn(std::string* reason);

}  // namespace dpm::cuda
