// Measures a plan on the card.
#pragma once

#include "cuda/dnn/convolution.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// A timer for plans of `problem` and the `rest` that they leave, as a network runs them: many runs in one graph,
/// random numbers, on memory of its own; every run reads other weights, more of them than a card's cache holds, since
/// those of a network come from memory. It throws Error(kOutOfMemory) when the memory is not to be had.
ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem,
                                   const ConvolutionRest& rest);

}  // namespace dpm::cuda
