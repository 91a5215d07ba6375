// A timed product of a network, and its name for readers.
#pragma once

#include <string>
#include <variant>

#include "cuda/products/attention_problem.h"
#include "cuda/products/convolution_problem.h"

namespace dpm::cuda {

using Problem = std::variant<ConvolutionProblem, AttentionProblem>;

int batch_of(const Problem& problem);
std::string key_of(const Problem& problem);
/// `bf16`, `f16`, `f32` or `tf32`.
std::string type_name(const Problem& problem);

/// Describes a problem without the batch: e.g. `bf16 3x3 128@32x32 -> 128@32x32 in 256, bias, residual of 256` or `bf16
/// attention 256x256, 1 head of 256`. Different problems have different descriptions.
std::string describe(const Problem& problem);

}  // namespace dpm::cuda
