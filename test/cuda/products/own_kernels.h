// Our own kernels on the operands of a trial.
#pragma once

#include <cstddef>

#include "cuda/products/products.h"

namespace dpm::cuda {

/// The convolution for every shape, with all that follows it.
void run_own(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, cudaStream_t stream);

/// Attention. Throws Error(kUnsupported) for heads that it does not take.
void run_own(const AttentionProblem& problem, const AttentionBuffers& buffers, cudaStream_t stream);

/// Whether the convolution of small maps takes the problem, with buffers that are aligned as memory is.
bool takes_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers);
/// What it needs: a workspace, and counters, which are zero before the first run.
std::size_t small_workspace_bytes(const ConvolutionProblem& problem);
std::size_t small_counter_bytes(const ConvolutionProblem& problem);
/// One run of it.
void run_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, unsigned* counters,
               cudaStream_t stream);

/// The weights that a plan for the problem's data gradient reads, from those of the problem.
void make_adjoint(const ConvolutionProblem& problem, const void* weights, void* adjoint, cudaStream_t stream);

/// What a plan leaves, as a network's layer does it.
void run_rest(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, const ConvolutionResult& result,
              cudaStream_t stream);

}  // namespace dpm::cuda
