// Evaluations of the derivatives of a network from random inputs.
#pragma once

#include <vector>

#include "engine/network.h"

namespace dpm::test {

/// What goes into a derivative and what comes out of it: of a pullback a cotangent of all outputs and the image's, of a
/// pushforward a tangent of the image and all outputs'. The first output is followed by the second.
struct DerivativeResult {
  std::vector<float> given;
  std::vector<float> derived;
  std::vector<float> outputs;
};

/// Of `batch` rows, the second of two evaluations. The image is moved by `step` times the tangent that pushforwards
/// get.
DerivativeResult derive_twice(Network& network, int batch, float step = 0);

/// Sum of the products of two tensors' elements.
double product(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace dpm::test
