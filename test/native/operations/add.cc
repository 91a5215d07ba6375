// Cases of sums of two maps.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case sum_of_maps(RandomValues& random, int channels, int height, int width, int batch, bool is_twice) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(maker.sum(is_twice ? x : maker.affine(x, -3, 0.5F), x));
  return image_case(maker, random, batch);
}

Case random_add(RandomValues& random, int index) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return sum_of_maps(random, channels, height, width, random.between(1, 3), index % 3 == 2);
}

Case large_add(RandomValues& random, int /*index*/) { return sum_of_maps(random, 128, 32, 32, 4, false); }

}  // namespace

std::vector<CaseFamily> add_cases() { return {{"Random", random_add, 12}, {"128x32x32", large_add, 1, true}}; }

}  // namespace dpm::test
