// Cases of dropout. Its draws are rows of a table, so that they are exact in every type.
#include <algorithm>

#include "operations/operations.h"

namespace dpm::test {
namespace {

Case dropout(RandomValues& random, float rate, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const int bytes = maker.whole_numbers(maker.label(), 3, 8, 256);
  maker.leave(maker.add(DPM_OP_DROPOUT, {x, bytes}, graph::Dropout{rate, 16, 0x123456789ABCDEF}));
  return image_case(maker, random, batch);
}

Case random_dropout(RandomValues& random, int index) {
  constexpr float kRates[] = {0.1F, 0, 0.5F, 0.97F};
  const int channels = random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return dropout(random, kRates[index % 4], channels, height, width, random.between(1, 4));
}

Case large_dropout(RandomValues& random, int /*index*/) { return dropout(random, 0.1F, 128, 32, 32, 8); }

}  // namespace

std::vector<CaseFamily> dropout_cases() {
  return {{"Random", random_dropout, 12}, {"128x32x32", large_dropout, 1, true}};
}

}  // namespace dpm::test
