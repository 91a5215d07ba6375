// What the processor can do at most, measured.
#pragma once

#include "devices/cpu/device.h"

namespace dpm::cpu {

/// GFLOP/s of multiplications and additions that stay in registers, on all threads.
double measure_gflops(Device& device);

/// GB/s, read and written, of a copy too large for the caches, on all threads.
double measure_copy_gigabytes(Device& device);

}  // namespace dpm::cpu
