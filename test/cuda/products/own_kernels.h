// Our own kernels on the operands of a trial.
#pragma once

#include <cstddef>

#include "cuda/products/products.h"

namespace dpm::cuda {

/// Runs the convolution for every shape, with all parts after it.
void run_own(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, cudaStream_t stream);

/// Runs attention. Throws Error(kUnsupported) for heads that it does not take.
void run_own(const AttentionProblem& problem, const AttentionBuffers& buffers, cudaStream_t stream);

/// Returns whether the convolution of small maps takes the problem, with buffers that are aligned like allocated
/// memory.
bool takes_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers);
/// Returns the sizes that it needs: a workspace, and counters, which are zero before the first run.
std::size_t small_workspace_bytes(const ConvolutionProblem& problem);
std::size_t small_counter_bytes(const ConvolutionProblem& problem);
/// Runs the convolution of small maps once.
void run_small(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, unsigned* counters,
               cudaStream_t stream);

/// Makes the weights that a plan for the problem's data gradient reads, from those of the problem.
void make_adjoint(const ConvolutionProblem& problem, const void* weights, void* adjoint, cudaStream_t stream);

/// Runs the rest that a plan leaves, as a network's layer does.
void run_rest(const ConvolutionProblem& problem, const ConvolutionBuffers& buffers, const ConvolutionResult& result,
              cudaStream_t stream);

}  // namespace dpm::cuda
