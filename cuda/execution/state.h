// Implements the operations of the same names in backend.h, for requests that the engine has checked.
#pragma once

#include <cstdint>
#include <memory>

#include "cuda/device/device.h"

namespace dpm::cuda {

void gather(Device& device, const dpm_gather& request);
void update(Device& device, const dpm_update& request);
void reduce(Device& device, const dpm_reduce& request);
void optimize(Device& device, const dpm_optimize& request);
void download_levels(Device& device, const float* values, std::uint8_t* levels, std::uint64_t elements);
std::unique_ptr<Transfer> begin_transfer(Device& device, const float* values, std::uint64_t elements, bool as_levels);

}  // namespace dpm::cuda
