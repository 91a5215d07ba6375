// Devices in shared libraries, which are checked before anything else of them is used, and never unloaded.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace dpm {

/// A plug-in that was looked for.
struct Plugin {
  const dpm_backend* backend = nullptr;
  /// Reason why there is no backend.
  std::string reason;
  /// Reasons why the builds before this one were passed over; empty for the first.
  std::string passed_over;
};

/// Returns the reason why a plug-in's table cannot be used: another version of the interface, or the name of a struct
/// that was compiled to another size. Empty where everything fits.
std::string mismatch_of(const dpm_backend& backend);

Plugin open_plugin(const std::string& path);

/// Opens the first of several builds of a plug-in, newest driver first, that this driver is new enough for. Later
/// builds are not opened.
Plugin open_for_driver(const std::vector<std::string>& paths);

}  // namespace dpm
