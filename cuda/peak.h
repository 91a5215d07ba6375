// What a card can do at most, measured.
#pragma once

#include "cuda/device/device.h"

namespace dpm::cuda {

/// GB/s, read and write, of a copy within the card's memory.
double copy_gigabytes(Device& device);
/// GFLOP/s of float32 multiply-adds.
double float_gigaflops(Device& device);

}  // namespace dpm::cuda
