// The products of the benchmark networks, in the format of `npm run roofline -- --shapes`.
#pragma once

#include <string>
#include <vector>

#include "cuda/products/attention_problem.h"
#include "cuda/products/convolution_problem.h"

namespace dpm::cuda {

struct NetworkShapes {
  std::vector<ConvolutionProblem> convolutions;
  std::vector<AttentionProblem> attentions;
};

/// Reads the products in bf16. Throws Error(kFile) for a file that cannot be read or is no table of at most 1 MiB,
/// Error(kArgument) for a line that does not belong to the table or has sizes that no network has.
NetworkShapes read_network_shapes(const std::string& path, int batch);

/// Returns the problem that pulls a cotangent back through a convolution of stride 1 or 2: from a map that may lie in a
/// wider one, to a dense map.
ConvolutionProblem data_gradient_of(const ConvolutionProblem& problem);

}  // namespace dpm::cuda
