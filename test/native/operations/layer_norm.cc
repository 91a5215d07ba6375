// Cases of the normalisation of each pixel's channels.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

Case layer_norm(RandomValues& random, int channels, int height, int width, int batch, float shift) {
  GraphMaker maker(random);
  maker.leave(maker.layer_norm(maker.enter(maker.image(channels, height, width))));
  Case made = without_pushforward(image_case(maker, random, batch, 1, shift), DPM_OP_LAYER_NORM,
                                  "this operation has no derivative");
  // The rounding of numbers far from zero is large compared with their deviation.
  if (shift > 0) made.looseness = 2;
  return made;
}

/// Every third case has a mean far from zero, whose square would drown the variance.
Case random_layer_norm(RandomValues& random, int index) {
  const int channels = random.between(2, 90);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return layer_norm(random, channels, height, width, random.between(1, 3), index % 3 == 2 ? 30.0F : 0.0F);
}

Case large_layer_norm(RandomValues& random, int /*index*/) { return layer_norm(random, 320, 32, 32, 2, 0); }

}  // namespace

std::vector<CaseFamily> layer_norm_cases() {
  return {{"Random", random_layer_norm, 18}, {"320x32x32", large_layer_norm, 1, true}};
}

}  // namespace dpm::test
