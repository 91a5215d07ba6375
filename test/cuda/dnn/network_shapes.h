// The products of the benchmark networks, as `npm run roofline -- --shapes` has written them.
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

/// In bf16. Throws Error(kFile) for a file that cannot be read or is no table of at most 1 MiB, Error(kArgument) for a
/// line that is none of the table's or has sizes that no network has.
NetworkShapes read_network_shapes(const std::string& path, int batch);

/// What pulls a cotangent back through a convolution of stride 1 or 2: of one that may lie in a wider map, to a dense
/// map.
ConvolutionProblem data_gradient_of(const ConvolutionProblem& problem);

}  // namespace dpm::cuda
