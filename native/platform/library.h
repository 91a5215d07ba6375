// Shared libraries that are opened while the program runs. None is ever closed.
#pragma once

#include <string>

namespace dpm::platform {

/// A library, or why there is none.
struct OpenedLibrary {
  void* handle = nullptr;
  std::string problem;
};

/// Opens a library with all that it needs, and shows its symbols to nobody else. `path` is UTF-8; without a folder the
/// system looks for it.
OpenedLibrary open_library(const std::string& path);
/// The address of `name`, null where the library has none such.
void* find_symbol(void* library, const char* name);

/// The library of NVIDIA's driver; null on systems that this package has no CUDA device for.
const char* cuda_driver();

/// Of the library or program that holds this function, as UTF-8; `.` where it is not known.
std::string directory_of(const void* function);

}  // namespace dpm::platform
