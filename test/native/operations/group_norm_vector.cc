// Cases of the sums of a group norm's derivative, and of the cotangent of its scale and shift.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes the sums themselves or the cotangent of the scale and shift, with or without these and the SiLU.
Case norm_vector(RandomValues& random, int index, int groups, int channels, int side, int batch) {
  GraphMaker maker(random);
  const int image = maker.image(channels, side, side);
  graph::GroupNorm how{groups, 1e-3F, index % 3 == 0};
  how.sums = true;
  graph::Node node =
      graph::make_node(DPM_OP_GROUP_NORM_BACKWARD, "derivative", {maker.enter(image), maker.affine(image, -2, 1)}, how);
  if (index % 4 < 2) node.set_input(2, maker.time_vector(2 * channels));
  node.weights = {maker.constant({channels}, 0.3F, 1)};
  node.biases = {maker.constant({channels}, 0.3F)};
  maker.add(node);
  int result = maker.graph().nodes.back().outputs[1];
  if (index % 2 == 0) {
    graph::Node vector = graph::make_node(DPM_OP_GROUP_NORM_VECTOR, "vector", {result});
    vector.weights = node.weights;
    vector.biases = node.biases;
    result = maker.add(std::move(vector));
  }
  maker.leave(result);
  Case made = image_case(maker, random, batch);
  made.looseness = 2;
  const dpm_op last = index % 2 == 0 ? DPM_OP_GROUP_NORM_VECTOR : DPM_OP_GROUP_NORM_BACKWARD;
  return without_pushforward(without_pullback(std::move(made), last, "this operation has no derivative"),
                             DPM_OP_GROUP_NORM_BACKWARD,
                             "its vector depends on the image, which has no derivative yet");
}

Case random_norm_vector(RandomValues& random, int index) {
  const int groups = random.between(1, 8);
  const int channels = groups * random.between(2, 9);
  return norm_vector(random, index, groups, channels, random.between(2, 12), random.between(1, 3));
}

Case large_norm_vector(RandomValues& random, int /*index*/) { return norm_vector(random, 0, 32, 128, 32, 4); }

}  // namespace

std::vector<CaseFamily> group_norm_vector_cases() {
  return {{"Random", random_norm_vector, 24}, {"128x32x32", large_norm_vector, 1, true}};
}

}  // namespace dpm::test
