// Operations on the state of samples: gather, fused update, reductions.
#pragma once

#include "devices/cpu/device.h"

namespace dpm::cpu {

// The operations of the same names in backend.h; requests have been checked by the engine.

void gather(dpm_device& device, const dpm_gather& gather);
void update(dpm_device& device, const dpm_update& update);
void reduce(dpm_device& device, const dpm_reduce& reduce);

}  // namespace dpm::cpu
