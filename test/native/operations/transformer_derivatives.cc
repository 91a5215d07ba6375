// Cases of the cotangents of layer norms and of values under gates, as nodes of their own.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

Case last_derivative(GraphMaker& maker, RandomValues& random, dpm_op op, int batch) {
  Case made = image_case(maker, random, batch);
  made.looseness = 2;
  return without_pushforward(without_pullback(std::move(made), op, "this operation has no derivative"), op,
                             "its vector depends on the image, which has no derivative yet");
}

/// Makes the cotangent of a layer norm's map, in every other case plus the products that its scale's gradient is made
/// of.
Case layer_norm_backward(RandomValues& random, int index, int channels, int side, int batch) {
  GraphMaker maker(random);
  const int image = maker.image(channels, side, side);
  graph::Node node = graph::make_node(DPM_OP_LAYER_NORM_BACKWARD, "derivative",
                                      {maker.enter(image), maker.affine(image, -2, 1)}, graph::LayerNorm{1e-3F});
  graph::attributes<graph::LayerNorm>(node).products = index % 2 == 1;
  node.weights = {maker.constant({channels}, 0.3F, 1)};
  int result = maker.add(std::move(node));
  if (index % 2 == 1) result = maker.sum(result, maker.graph().nodes.back().outputs[1]);
  maker.leave(result);
  return last_derivative(maker, random, DPM_OP_LAYER_NORM_BACKWARD, batch);
}

Case random_layer_norm_backward(RandomValues& random, int index) {
  const int channels = random.between(3, 90);
  return layer_norm_backward(random, index, channels, random.between(1, 9), random.between(1, 3));
}

Case large_layer_norm_backward(RandomValues& random, int /*index*/) {
  return layer_norm_backward(random, 1, 320, 32, 2);
}

Case geglu_backward(RandomValues& random, int channels, int side, int batch, float scale) {
  GraphMaker maker(random);
  const int image = maker.image(2 * channels, side, side);
  const int d = maker.convolution(maker.affine(image, -1, 1), channels, {});
  maker.leave(maker.add(DPM_OP_GEGLU_BACKWARD, {maker.affine(image, scale), d}));
  return last_derivative(maker, random, DPM_OP_GEGLU_BACKWARD, batch);
}

/// Every fourth case has gates that GELU leaves as they are, or makes 0.
Case random_geglu_backward(RandomValues& random, int index) {
  const int channels = random.between(1, 45);
  const int side = random.between(1, 9);
  return geglu_backward(random, channels, side, random.between(1, 3), index % 4 == 3 ? 20.0F : 1.5F);
}

Case large_geglu_backward(RandomValues& random, int /*index*/) { return geglu_backward(random, 1280, 16, 2, 1); }

}  // namespace

std::vector<CaseFamily> layer_norm_backward_cases() {
  return {{"Random", random_layer_norm_backward, 18}, {"320x32x32", large_layer_norm_backward, 1, true}};
}

std::vector<CaseFamily> geglu_backward_cases() {
  return {{"Random", random_geglu_backward, 16}, {"1280x16x16", large_geglu_backward, 1, true}};
}

}  // namespace dpm::test
