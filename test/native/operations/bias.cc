// Cases of a number added to each channel, which is a weight.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case bias(RandomValues& random, int channels, int height, int width, int batch, bool is_of_image) {
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  maker.leave(maker.bias(is_of_image ? image : maker.enter(image)));
  return image_case(maker, random, batch);
}

Case random_bias(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return bias(random, channels, height, width, random.between(1, 3), index % 2 == 1);
}

Case large_bias(RandomValues& random, int /*index*/) { return bias(random, 128, 32, 32, 4, false); }

}  // namespace

std::vector<CaseFamily> bias_cases() { return {{"Random", random_bias, 12}, {"128x32x32", large_bias, 1, true}}; }

}  // namespace dpm::test
