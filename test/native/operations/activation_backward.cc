// Cases of the derivative of a function of every element.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes a map that is twice the image, and a derivative with the roles exchanged.
Case activation_backward(RandomValues& random, int index, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  const int x = maker.affine(image, 2);
  const int d = maker.affine(image, -1);
  maker.leave(maker.add(DPM_OP_ACTIVATION_BACKWARD, {x, d},
                        graph::Activation{static_cast<dpm_activation>(index % DPM_ACTIVATION_COUNT)}));
  return without_pushforward(without_pullback(image_case(maker, random, batch), DPM_OP_ACTIVATION_BACKWARD,
                                              "this operation has no derivative"),
                             DPM_OP_ACTIVATION_BACKWARD,
                             "its vector depends on the image, which has no derivative yet");
}

Case random_backward(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return activation_backward(random, index, channels, height, width, random.between(1, 3));
}

Case large_backward(RandomValues& random, int /*index*/) {
  return activation_backward(random, DPM_ACTIVATION_SILU, 128, 32, 32, 4);
}

}  // namespace

std::vector<CaseFamily> activation_backward_cases() {
  return {{"Random", random_backward, 16}, {"128x32x32", large_backward, 1, true}};
}

}  // namespace dpm::test
