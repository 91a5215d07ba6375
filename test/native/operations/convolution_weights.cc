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
  // Products of every other pixel occur in no network, and not every device computes them.
  const int stride = kernel == 1 ? 1 : 1 + index / 3 % 2;
  const graph::Convolution how{kernel, stride, random.between(0, kernel - 1), random.between(0, kernel - 1)};
  const int height = random.between(kernel, 12);
  const int width = random.between(kernel, 12);
  const int channels = random.between(1, 20);
  return convolution_weights(random, {channels, height, width}, random.between(1, 20), how, random.between(1, 4));
}

/// Makes cases that exceed what a device is likely to take at once, each in another extent.
Case long_convolution_weights(RandomValues& random, int index) {
  const auto make = [&](const graph::Value& shape, int outputs, int kernel, int batch) {
    return convolution_weights(random, shape, outputs, same_size(kernel), batch);
  };
  switch (index) {
    case 0:
      return make({3, 40, 40}, 130, 3, 2);
    case 1:
      return make({140, 4, 4}, 20, 3, 37);
    case 2:
      return make({9, 1, 1}, 24, 1, 300);
    case 3:
      return make({2, 3, 300}, 5, 3, 2);
    case 4:
      return make({64, 9, 11}, 96, 3, 3);
    case 5:
      return make({70, 12, 13}, 40, 1, 3);
    case 6:
      return make({9, 1, 1}, 30, 1, 70);
    case 7:
      return make({192, 8, 8}, 64, 3, 40);
    default:
      return make({64, 40, 36}, 256, 3, 2);
  }
}

Case large_convolution_weights(RandomValues& random, int /*index*/) {
  return convolution_weights(random, {128, 32, 32}, 128, same_size(3), 4);
}

}  // namespace

std::vector<CaseFamily> convolution_weights_cases() {
  return {{"Random", random_convolution_weights, 24},
          {"Long", long_convolution_weights, 9},
          {"128x32x32", large_convolution_weights, 1, true}};
}

}  // namespace dpm::test
