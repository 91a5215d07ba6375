// The devices of this process: the CPU, linked in, and plug-ins found beside this library. The CUDA plug-in is opened
// where there is an NVIDIA driver, in the build that suits the driver. `use_cuda_plugins` gives other places of its
// builds; $DPM_CUDA_PLUGIN names one file, which is opened in any case.
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

/// A backend and the index of one of its devices.
struct DeviceChoice {
  const dpm_backend* backend = nullptr;
  int index = 0;
  std::string description;
};

/// Sets the files of the CUDA plug-in, as UTF-8, in place of those beside this library: builds for newer drivers come
/// first. Has no effect after the plug-in has been opened, or with an empty list.
void use_cuda_plugins(std::vector<std::string> paths);

/// Lists every known device, usable or not. Plug-ins are opened on the first call and never unloaded.
std::vector<DeviceInfo> list_devices();

/// Finds the device called `name` (`cpu`, `reference`, `cuda`, `cuda:1`). Throws Error(kDevice) with the reason when it
/// is unknown or unusable.
DeviceChoice find_device(const std::string& name);

}  // namespace dpm
