// Cases of rows of tables by label.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes an embedding that is added to a map, so that it is beside values that depend on the image.
Case embedding(RandomValues& random, int rows, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(maker.add(DPM_OP_CHANNEL_ADD, {x, maker.row(maker.label(), rows, channels)}));
  return image_case(maker, random, batch);
}

/// Makes fewer rows than labels, so that some samples have no row.
Case random_embedding(RandomValues& random, int /*index*/) {
  const int rows = random.between(1, 9);
  const int channels = random.between(1, 40);
  const int height = random.between(1, 4);
  const int width = random.between(1, 4);
  return embedding(random, rows, channels, height, width, random.between(1, 5));
}

/// Makes rows of the truncated time.
Case row_of_time(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  maker.leave(maker.row(maker.time(), random.between(400, 1000), random.between(1, 40)));
  return image_case(maker, random, random.between(1, 5));
}

Case large_embedding(RandomValues& random, int /*index*/) { return embedding(random, 1000, 512, 1, 1, 16); }

}  // namespace

std::vector<CaseFamily> embedding_cases() {
  return {{"Random", random_embedding, 12}, {"OfTime", row_of_time, 6}, {"1000x512", large_embedding, 1, true}};
}

}  // namespace dpm::test
