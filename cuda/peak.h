// The maximum rates of a GPU, measured.
#pragma once

#include "cuda/device/device.h"

namespace dpm::cuda {

/// Measures GB/s, read and write, of a copy within the GPU's memory.
double copy_gigabytes(Device& device);
/// Measures GFLOP/s of float32 multiply-adds.
double float_gigaflops(Device& device);

}  // namespace dpm::cuda
