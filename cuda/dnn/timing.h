// Measures a plan on the card.
#pragma once

#include "cuda/dnn/convolution.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// A timer that runs plans for `problem` on memory of its own: the best of a few runs after a first one. It throws
/// Error(kOutOfMemory) when that memory is not to be had.
ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem);

}  // namespace dpm::cuda
