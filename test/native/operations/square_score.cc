// Cases of the derivative of weighted squared differences.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case square_score(RandomValues& random, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  std::vector<int> inputs{x, maker.affine(x, -0.5F, 1), maker.time_vector(1)};
  if (random.between(0, 1) == 1) inputs.push_back(maker.affine(x, 0.7F, -0.3F));
  maker.leave(maker.add(DPM_OP_SQUARE_SCORE, std::move(inputs)));
  return without_pushforward(
      without_pullback(image_case(maker, random, batch), DPM_OP_SQUARE_SCORE, "this operation has no derivative"),
      DPM_OP_SQUARE_SCORE, "its vector depends on the image, which has no derivative yet");
}

Case random_square_score(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 20);
  const int height = random.between(1, 12);
  const int width = random.between(1, 12);
  return square_score(random, channels, height, width, random.between(1, 4));
}

Case large_square_score(RandomValues& random, int /*index*/) { return square_score(random, 3, 256, 256, 4); }

}  // namespace

std::vector<CaseFamily> square_score_cases() {
  return {{"Random", random_square_score, 12}, {"3x256x256", large_square_score, 1, true}};
}

}  // namespace dpm::test
