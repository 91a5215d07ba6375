// Operations on the state of samples: gather, fused update, reductions.
#pragma once

#include "devices/cpu/device.h"

namespace dpm::cpu {

// The operations of the same names in backend.h; requests have been checked by the engine.

void gather(Device& device, const dpm_gather& gather);
void update(Device& device, const dpm_update& update);
void reduce(Device& device, const dpm_reduce& reduce);

}  // namespace dpm::cpu
