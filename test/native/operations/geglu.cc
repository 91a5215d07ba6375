// Cases of values multiplied by the GELU of their gates.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case geglu(RandomValues& random, int channels, int height, int width, int batch, float scale) {
  GraphMaker maker(random);
  maker.leave(maker.add(DPM_OP_GEGLU, {maker.affine(maker.image(2 * channels, height, width), scale)}));
  return without_pushforward(image_case(maker, random, batch), DPM_OP_GEGLU, "this operation has no derivative");
}

/// Every fourth case has gates that GELU leaves as they are, or makes 0.
Case random_geglu(RandomValues& random, int index) {
  const int channels = random.between(1, 45);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return geglu(random, channels, height, width, random.between(1, 3), index % 4 == 3 ? 20.0F : 1.5F);
}

Case large_geglu(RandomValues& random, int /*index*/) { return geglu(random, 1280, 16, 16, 2, 1); }

}  // namespace

std::vector<CaseFamily> geglu_cases() { return {{"Random", random_geglu, 16}, {"1280x16x16", large_geglu, 1, true}}; }

}  // namespace dpm::test
