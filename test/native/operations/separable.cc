// Cases of maps between a matrix on either axis.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case random_separable(RandomValues& random, int /*index*/) {
  const int batch = random.between(1, 3);
  const int channels = random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  const int rows = random.between(1, 12);
  const int columns = random.between(1, 12);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(maker.separable(x, rows, columns));
  return image_case(maker, random, batch);
}

/// Makes a rectangular map that is resampled to another height and width twice, with tables before and after.
Case between_tables(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  const int x = maker.position(maker.enter(maker.image(3, 4, 6)));
  maker.leave(maker.position(maker.separable(maker.view(x, 3, 8), 7, 2)));
  return image_case(maker, random, 3);
}

Case large_separable(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  maker.leave(maker.separable(maker.enter(maker.image(128, 32, 32)), 16, 16));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> separable_cases() {
  return {{"Random", random_separable, 24}, {"BetweenTables", between_tables}, {"128x32x32", large_separable, 1, true}};
}

}  // namespace dpm::test
