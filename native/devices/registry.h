// The devices of this process: the CPU, linked in, and plug-ins found beside this library. The one for CUDA is opened
// where there is an NVIDIA driver, in the build that suits the driver; $DPM_CUDA_PLUGIN names another file for it,
// which is opened in any case.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace dpm {

struct DeviceInfo {
  std::string name;
  bool usable = false;
  int score = 0;
  std::string description;
  std::string reason;
};

/// A backend and which of its devices.
struct DeviceChoice {
  const dpm_backend* backend = nullptr;
  int index = 0;
  std::string description;
};

/// Every device that is known, usable or not. Plug-ins are opened on the first call and never unloaded.
std::vector<DeviceInfo> list_devices();

/// The device called `name` (`cpu`, `reference`, `cuda`, `cuda:1`). Throws Error(kDevice) with the reason when it is
/// unknown or unusable.
DeviceChoice find_device(const std::string& name);

}  // namespace dpm
