#include "platform/library.h"

#include <dlfcn.h>

namespace dpm::platform {

OpenedLibrary open_library(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return {handle, {}};
  const char* why = dlerror();
  return {nullptr, why != nullptr ? why : "unknown reason"};
}

void* find_symbol(void* library, const char* name) { return dlsym(library, name); }

std::string directory_of(const void* function) {
  Dl_info info{};
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return ".";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace dpm::platform
