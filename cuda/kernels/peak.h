// As many float32 multiply-adds as a card can do.
#pragma once

#include <cstdint>

#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// Multiply-adds of one thread for every unit of `repeats`.
constexpr std::uint64_t kPeakMultiplyAdds = 64;

/// `blocks` blocks of 256 threads that multiply and add in registers; `sink` takes one float a thread, so that the work
/// has a result. Returns how many multiply-adds it queues.
double multiply_add_peak(float* sink, unsigned blocks, int repeats, cudaStream_t stream);

}  // namespace dpm::cuda
