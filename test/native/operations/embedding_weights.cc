// Cases of the gradient of a table of rows.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes the gradient of a table by label or, if `by_time`, by truncated time.
Case embedding_weights(RandomValues& random, int rows, int channels, int batch, bool by_time) {
  GraphMaker maker(random);
  const int d = maker.enter(maker.image(channels, 1, 1));
  const int row = by_time ? maker.time() : maker.label();
  maker.output(maker.add(DPM_OP_EMBEDDING_WEIGHTS, {row, d}, graph::EmbeddingWeights{rows}));
  return without_pushforward(
      without_pullback(image_case(maker, random, batch), DPM_OP_EMBEDDING_WEIGHTS, "this operation has no derivative"),
      DPM_OP_EMBEDDING_WEIGHTS, "its vector depends on the image, which has no derivative yet");
}

/// Makes labels that repeat, and fewer rows than labels, so that some samples have none.
Case random_embedding_weights(RandomValues& random, int index) {
  const bool by_time = index % 3 == 2;
  const int rows = by_time ? random.between(400, 1000) : random.between(1, 9);
  return embedding_weights(random, rows, random.between(1, 40), random.between(1, 8), by_time);
}

Case large_embedding_weights(RandomValues& random, int /*index*/) {
  return embedding_weights(random, 1000, 512, 16, false);
}

}  // namespace

std::vector<CaseFamily> embedding_weights_cases() {
  return {{"Random", random_embedding_weights, 12}, {"1000x512", large_embedding_weights, 1, true}};
}

}  // namespace dpm::test
