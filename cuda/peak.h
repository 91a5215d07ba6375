// What a card can do at most, measured.
#pragma once

#include "cuda/device/device.h"

namespace dpm::cuda {

/// GB/s, read and write, of a copy within the card's memory.
double copy_gigabytes(dpm_device& device);
/// GFLOP/s of float32 multiply-adds.
double float_gigaflops(dpm_device& device);

}  // namespace dpm::cuda
