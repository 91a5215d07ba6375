// The maximum rate of a GPU's float32 multiply-adds.
#pragma once

#include <cstdint>

#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// Multiply-adds of one thread for every unit of `repeats`.
constexpr std::uint64_t kPeakMultiplyAdds = 64;

/// Runs `blocks` blocks of 256 threads that multiply and add in registers; `sink` takes one float per thread, so that
/// the work has a result. Returns the number of multiply-adds queued.
double multiply_add_peak(float* sink, unsigned blocks, int repeats, cudaStream_t stream);

}  // namespace dpm::cuda
