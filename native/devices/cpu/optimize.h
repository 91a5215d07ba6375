// Steps of the optimiser and packing of weights that move, on the CPU.
#pragma once

#include "backend/backend.h"
#include "devices/cpu/device.h"

namespace dpm::cpu {

/// Takes a step of the optimiser (dpm_state_entries::optimize).
void optimize(Device& device, const dpm_optimize& request);

/// Packs the weights of a network that move again (dpm_network_entries::repack).
void repack(Network& network, const dpm_repack& request);

}  // namespace dpm::cpu
