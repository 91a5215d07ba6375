// Cases of maps scaled and shifted by numbers.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes a case that reads the image, whose channels are not adjacent, or a map of the network's own.
Case affine(RandomValues& random, int channels, int height, int width, int batch, bool is_of_image) {
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  maker.output(maker.affine(is_of_image ? image : maker.silu(maker.enter(image)), -1.5F, 0.75F));
  return image_case(maker, random, batch);
}

Case random_affine(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return affine(random, channels, height, width, random.between(1, 3), index % 2 == 0);
}

Case large_affine(RandomValues& random, int /*index*/) { return affine(random, 128, 32, 32, 4, true); }

}  // namespace

std::vector<CaseFamily> affine_cases() { return {{"Random", random_affine, 12}, {"128x32x32", large_affine, 1, true}}; }

}  // namespace dpm::test
