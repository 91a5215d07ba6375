// Cases of a table of one number per element of a map, added to it.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case position(RandomValues& random, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  maker.leave(maker.position(maker.enter(maker.image(channels, height, width))));
  return image_case(maker, random, batch);
}

Case random_position(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return position(random, channels, height, width, random.between(1, 3));
}

Case large_position(RandomValues& random, int /*index*/) { return position(random, 256, 16, 16, 4); }

}  // namespace

std::vector<CaseFamily> position_cases() {
  return {{"Random", random_position, 12}, {"256x16x16", large_position, 1, true}};
}

}  // namespace dpm::test
