// Cases of sums over the rows of a batch.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case row_sum(RandomValues& random, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  maker.output(maker.add(DPM_OP_ROW_SUM, {maker.enter(maker.image(channels, height, width))}));
  return without_derivatives(image_case(maker, random, batch), DPM_OP_ROW_SUM);
}

Case random_row_sum(RandomValues& random, int index) {
  const bool is_vector = index % 2 == 0;
  const int channels = random.between(1, 40);
  const int height = is_vector ? 1 : random.between(1, 12);
  const int width = is_vector ? 1 : random.between(1, 12);
  return row_sum(random, channels, height, width, random.between(1, 5));
}

Case large_row_sum(RandomValues& random, int /*index*/) { return row_sum(random, 512, 1, 1, 16); }

}  // namespace

std::vector<CaseFamily> row_sum_cases() { return {{"Random", random_row_sum, 12}, {"512", large_row_sum, 1, true}}; }

}  // namespace dpm::test
