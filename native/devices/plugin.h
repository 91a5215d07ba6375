// Devices in shared libraries: opened, and checked before anything else of them is used. They are never unloaded.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace dpm {

/// A plug-in that was looked for.
struct Plugin {
  const dpm_backend* backend = nullptr;
  /// Why there is no backend.
  std::string reason;
  /// Why the builds before this one were passed over; empty for the first.
  std::string passed_over;
};

/// What keeps a plug-in's table from being used: another version of the interface, or a struct that was compiled to
/// another size, by name. Empty where everything fits.
std::string mismatch_of(const dpm_backend& backend);

Plugin open_plugin(const std::string& path);

/// Of several builds of one plug-in, that for the newest driver first, the first that this driver is new enough for.
/// Those after it are not opened.
Plugin open_for_driver(const std::vector<std::string>& paths);

}  // namespace dpm
