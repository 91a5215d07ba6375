// Cases of two maps one behind the other, whose copy a device may avoid.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case concat(RandomValues& random, int channels, int height, int width, int batch, bool is_copied) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const int second = maker.affine(x, -3, 0.5F);
  // A map that is read twice cannot be written in place in either result.
  const int both = maker.add(DPM_OP_CONCAT, {x, second});
  maker.leave(is_copied ? maker.add(DPM_OP_CONCAT, {both, second}) : both);
  return image_case(maker, random, batch);
}

Case random_concat(RandomValues& random, int index) {
  const int channels = random.between(1, 20);
  const int height = random.between(1, 12);
  const int width = random.between(1, 12);
  return concat(random, channels, height, width, random.between(1, 3), index % 2 == 1);
}

Case large_concat(RandomValues& random, int /*index*/) { return concat(random, 128, 32, 32, 4, true); }

}  // namespace

std::vector<CaseFamily> concat_cases() { return {{"Random", random_concat, 12}, {"128x32x32", large_concat, 1, true}}; }

}  // namespace dpm::test
