// Cases of convolutions with the operations that a device joins to them: norms before them, sums and functions after
// them.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes concat(a, b) -> norm [-> SiLU] -> convolution, with different readers that keep the norm's input alive: none,
/// the convolution's residual, a later sum.
Case random_chain(RandomValues& random, int index) {
  const int channels = 2 * random.between(1, 40);
  const int kernel = index % 2 == 0 ? 3 : 1;
  const int height = random.between(2, 12);
  const int width = random.between(2, 12);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const auto convolve = [&](int input, int outputs, int size) {
    return maker.convolution(input, outputs, same_size(size),
                             0.5F / std::sqrt(static_cast<float>(maker.channels(input))));
  };
  const int copied = maker.enter(maker.image(channels, height, width));
  const int first = convolve(copied, channels, 1);
  const int second = convolve(copied, channels, 3);
  const int x = index % 5 == 0 ? second : maker.add(DPM_OP_CONCAT, {first, second});
  int h = maker.norm(x, 2);
  if (index % 3 != 0) h = maker.silu(h);
  h = convolve(h, maker.channels(x), kernel);
  if (index % 4 != 0) h = maker.sum(index % 4 == 1 ? h : convolve(h, maker.channels(x), 1), x);
  maker.leave(h);
  return image_case(maker, random, batch);
}

/// Makes a convolution with all possible following operations at once.
Case random_rest(RandomValues& random, int index) {
  const int channels = index % 3 == 2 ? random.between(1, 20) : 8;
  GraphMaker maker(random);
  const int map = maker.enter(maker.image(channels, 6, 5));
  int value = maker.bias(maker.convolution(map, channels, same_size(3)));
  if (index % 2 == 1) value = maker.add(DPM_OP_CHANNEL_ADD, {value, maker.time_vector(channels)});
  maker.leave(maker.silu(maker.affine(maker.sum(value, map), 0.75F)));
  return image_case(maker, random, 2);
}

Case large_chain(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(128, 32, 32));
  const int h = maker.bias(maker.convolution(maker.silu(maker.norm(x, 32)), 128, same_size(3)));
  maker.leave(maker.sum(h, x));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> fused_convolution_cases() {
  return {{"Chain", random_chain, 30}, {"Rest", random_rest, 8}, {"128x32x32", large_chain, 1, true}};
}

}  // namespace dpm::test
