#include "devices/plugin.h"

#include <cstddef>

#include "backend/backend.h"
#include "platform/library.h"

namespace dpm {

std::string mismatch_of(const dpm_backend& backend) {
  const auto differs = [](const std::string& what, std::uint32_t found, std::size_t expected) {
    return "has " + what + " " + std::to_string(found) + ", expected " + std::to_string(expected);
  };
  if (backend.abi_version != DPM_BACKEND_ABI) {
    return differs("interface version", backend.abi_version, DPM_BACKEND_ABI);
  }
  if (backend.struct_size != sizeof(dpm_backend)) {
    return differs("a dpm_backend of size", backend.struct_size, sizeof(dpm_backend));
  }
  if (backend.struct_sizes != DPM_STRUCT_SIZES) {
    return differs("structs of", backend.struct_sizes, DPM_STRUCT_SIZES) + " bytes";
  }
  return {};
}

Plugin open_plugin(const std::string& path) {
  const platform::OpenedLibrary library = platform::open_library(path);
  if (library.handle == nullptr) return {nullptr, "cannot open plug-in " + path + ": " + library.problem, {}};
  const auto function =
      reinterpret_cast<dpm_backend_entry_function>(platform::find_symbol(library.handle, DPM_BACKEND_ENTRY));
  const dpm_backend* backend = function != nullptr ? function() : nullptr;
  if (backend == nullptr) return {nullptr, path + " has no " DPM_BACKEND_ENTRY, {}};
  const std::string mismatch = mismatch_of(*backend);
  if (!mismatch.empty()) return {nullptr, path + " " + mismatch, {}};
  return {backend, {}, {}};
}

Plugin open_for_driver(const std::vector<std::string>& paths) {
  std::string passed_over;
  for (const std::string& path : paths) {
    Plugin plugin = open_plugin(path);
    if (plugin.backend == nullptr) {
      if (!passed_over.empty()) plugin.reason = passed_over + "; " + plugin.reason;
      return plugin;
    }
    dpm_message description{};
    dpm_message reason{};
    if (plugin.backend->device.probe(0, &description, &reason) != DPM_PROBE_OLD_DRIVER) {
      plugin.passed_over = passed_over;
      return plugin;
    }
    passed_over = reason.text;
  }
  // The last build that is too new has the lowest requirement, so its reason is reported.
  return {nullptr, passed_over, {}};
}

}  // namespace dpm
