// Cases of the derivative of ln p(label) by logits.
#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Makes logits that are the image, with as many classes as there are labels, or fewer, so that some samples' labels
/// are out of range.
Case label_score(RandomValues& random, int classes, int batch, float scale) {
  GraphMaker maker(random);
  const int logits = maker.enter(maker.image(classes, 1, 1));
  maker.leave(maker.add(DPM_OP_LABEL_SCORE, {logits, maker.label()}));
  return without_derivatives(image_case(maker, random, batch, scale), DPM_OP_LABEL_SCORE);
}

/// Makes logits up to hundreds, where a careless sum of exponentials overflows.
Case random_score(RandomValues& random, int index) {
  const int classes = random.between(1, index % 2 == 0 ? 70 : 6);
  return label_score(random, classes, random.between(1, 9), index % 3 == 2 ? 200.0F : 2.0F);
}

Case large_score(RandomValues& random, int /*index*/) { return label_score(random, 1000, 16, 2); }

}  // namespace

std::vector<CaseFamily> label_score_cases() { return {{"Random", random_score, 12}, {"1000", large_score, 1, true}}; }

}  // namespace dpm::test
