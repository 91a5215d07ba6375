// Shared libraries that are opened while the program runs and never closed.
#pragma once

#include <string>

namespace dpm::platform {

/// A library, or the reason why it could not be opened.
struct OpenedLibrary {
  void* handle = nullptr;
  std::string problem;
};

/// Opens a library with its dependencies, with symbols visible to no other library. `path` is UTF-8; the system
/// searches for a name without a folder.
OpenedLibrary open_library(const std::string& path);
/// Returns the address of `name`, null where the library does not have it.
void* find_symbol(void* library, const char* name);

/// Name of NVIDIA's driver library; null on systems for which this package has no CUDA device.
const char* cuda_driver();

/// Returns the directory of the library or program that holds this function, as UTF-8; `.` where it is unknown.
std::string directory_of(const void* function);

}  // namespace dpm::platform
