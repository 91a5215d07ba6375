// Operations on the state of samples: gather, fused update, reductions.
#pragma once

#include "devices/cpu/device.h"

namespace dpm::cpu {

// Implements the operations of the same names in backend.h, for requests that the engine has checked.

void gather(Device& device, const dpm_gather& gather);
void update(Device& device, const dpm_update& update);
void reduce(Device& device, const dpm_reduce& reduce);

}  // namespace dpm::cpu
