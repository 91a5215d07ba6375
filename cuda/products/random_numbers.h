// Operands of trials.
#pragma once

#include "core/dtype.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Fills memory of the GPU with repetitions of random numbers between -amplitude and amplitude, the same every time.
void fill_randomly(const Stream& stream, const DeviceMemory& memory, DType dtype, float amplitude);

}  // namespace dpm::cuda
