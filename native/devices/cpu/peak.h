// The processor's maximum rates, measured.
#pragma once

#include "devices/cpu/device.h"

namespace dpm::cpu {

/// Measures GFLOP/s of multiplications and additions in registers, on all threads.
double measure_gflops(Device& device);

/// Measures GB/s, read and written, of a copy too large for the caches, on all threads.
double measure_copy_gigabytes(Device& device);

}  // namespace dpm::cpu
