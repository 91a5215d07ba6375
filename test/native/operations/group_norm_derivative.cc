// Cases of cotangents and tangents of group norms, as nodes of their own.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes a derivative with scale and shift, and with the SiLU behind it, or without these.
Case norm_derivative(RandomValues& random, int index, int groups, int channels, int height, int width, int batch) {
  const dpm_op op = index % 2 == 0 ? DPM_OP_GROUP_NORM_BACKWARD : DPM_OP_GROUP_NORM_TANGENT;
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  graph::Node node = graph::make_node(op, "derivative", {maker.enter(image), maker.affine(image, -2, 1)},
                                      graph::GroupNorm{groups, 1e-3F, index % 3 == 0});
  if (index % 4 < 2) node.set_input(2, maker.time_vector(2 * channels));
  node.weights = {maker.constant({channels}, 0.3F, 1)};
  node.biases = {maker.constant({channels}, 0.3F)};
  maker.leave(maker.add(std::move(node)));
  Case made = image_case(maker, random, batch);
  // Most of the products of two rounded maps cancel, which leaves larger errors.
  made.looseness = 2;
  return without_pushforward(without_pullback(std::move(made), op, "this operation has no derivative"), op,
                             "its vector depends on the image, which has no derivative yet");
}

/// Makes groups of more than one element: with one, the derivative is only rounding.
Case random_derivative(RandomValues& random, int index) {
  const int groups = random.between(1, 8);
  const int channels = groups * random.between(2, 9);
  const int height = random.between(2, 20);
  const int width = random.between(1, 20);
  return norm_derivative(random, index, groups, channels, height, width, random.between(1, 3));
}

Case large_derivative(RandomValues& random, int index) { return norm_derivative(random, index, 32, 128, 32, 32, 4); }

}  // namespace

std::vector<CaseFamily> group_norm_derivative_cases() {
  return {{"Random", random_derivative, 24}, {"128x32x32", large_derivative, 2, true}};
}

}  // namespace dpm::test
