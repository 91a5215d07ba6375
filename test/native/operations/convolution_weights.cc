// Cases of the gradient of a convolution's weights.
#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr dpm_op kOp = DPM_OP_CONVOLUTION_WEIGHTS;

/// Makes the gradient for an image and a cotangent that is another convolution of it.
Case convolution_weights(RandomValues& random, const graph::Value& shape, int outputs, const graph::Convolution& how,
                         int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(shape.channels, shape.height, shape.width));
  const int d = maker.convolution(x, outputs, how);
  maker.output(maker.add(kOp, {x, d}, how));
  return without_pushforward(
      without_pullback(image_case(maker, random, batch), kOp, "this operation has no derivative"), kOp,
      "its vector depends on the image, which has no derivative yet");
}

Case random_convolution_weights(RandomValues& random, int index) {
  const int kernel = 1 + 2 * (index % 3);
  const int stride = 1 + index / 3 % 2;
  const graph::Convolution how{kernel, stride, random.between(0, kernel - 1), random.between(0, kernel - 1)};
  const int height = random.between(kernel, 12);
  const int width = random.between(kernel, 12);
  const int channels = random.between(1, 20);
  return convolution_weights(random, {channels, height, width}, random.between(1, 20), how, random.between(1, 4));
}

Case large_convolution_weights(RandomValues& random, int /*index*/) {
  return convolution_weights(random, {128, 32, 32}, 128, same_size(3), 4);
}

}  // namespace

std::vector<CaseFamily> convolution_weights_cases() {
  return {{"Random", random_convolution_weights, 24}, {"128x32x32", large_convolution_weights, 1, true}};
}

}  // namespace dpm::test
