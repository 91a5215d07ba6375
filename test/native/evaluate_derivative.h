// Evaluations of the derivatives of a network from random inputs.
#pragma once

#include <map>
#include <vector>

#include "engine/network.h"

namespace dpm::test {

/// Inputs and outputs of a derivative: for a pullback a cotangent of all outputs and that of the image, for a
/// pushforward a tangent of the image and those of all outputs. The first output is followed by the second.
struct DerivativeResult {
  std::vector<float> given;
  std::vector<float> derived;
  std::vector<float> outputs;
};

/// Evaluates a derivative of `batch` rows twice, and returns the second result. The image is moved by `step` times the
/// tangent that pushforwards get.
DerivativeResult derive_twice(Network& network, int batch, float step = 0);

/// Outputs of a network with Derivative::kWeights, their cotangents, which are given or those of a loss, and what these
/// are pulled back to.
struct GradientsResult {
  std::vector<float> outputs;
  std::vector<float> cotangents;
  std::vector<float> targets;       ///< targets of a square loss
  std::vector<float> loss_weights;  ///< weights of its samples
  std::vector<float> of_image;
  std::map<int, std::vector<float>> of_constants;  ///< gradients by the constant's index
};

/// Evaluates gradients of `batch` rows, `times` times into one tensor, which starts at zero.
GradientsResult gradients_of(Network& network, int batch, int times = 1);

/// Returns the sum of the products of two tensors' elements.
double product(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace dpm::test
