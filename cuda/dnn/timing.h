// Measurement of plans on the GPU.
#pragma once

#include "cuda/dnn/convolution.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Makes a timer for plans of `problem` and the `rest` that they leave, under the conditions of a network: many runs in
/// one graph, random numbers, on memory of its own. Every run reads other weights, more in total than a GPU's cache
/// holds, because those of a network come from memory. The timer throws Error(kOutOfMemory) when it cannot allocate the
/// memory.
ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem,
                                   const ConvolutionRest& rest);

}  // namespace dpm::cuda
