// Cases of maps times (1 + scale) plus shift of each channel, which depend on the time, or on the image.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr const char* kReason = "its scale and shift have a derivative only where they follow a group norm";

Case scale_shift(RandomValues& random, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(maker.add(DPM_OP_SCALE_SHIFT, {x, maker.time_vector(2 * channels)}));
  return image_case(maker, random, batch);
}

Case random_scale_shift(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return scale_shift(random, channels, height, width, random.between(1, 3));
}

/// Makes a case with an image of one pixel in place of a vector. A norm before it includes it, and has a derivative in
/// reverse.
Case vector_of_image(RandomValues& random, int index) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(8, 1, 1));
  const int map = index == 0 ? x : maker.norm(x, 2, 0.1F);
  maker.leave(maker.add(DPM_OP_SCALE_SHIFT, {map, maker.convolution(x, 16, {})}));
  const std::string of_vector = "its vector depends on the image, which has no derivative yet";
  Case made = image_case(maker, random, 2);
  if (index > 0) return without_pushforward(std::move(made), DPM_OP_GROUP_NORM, of_vector);
  return without_pushforward(without_pullback(std::move(made), DPM_OP_SCALE_SHIFT, kReason), DPM_OP_SCALE_SHIFT,
                             of_vector);
}

Case large_scale_shift(RandomValues& random, int /*index*/) { return scale_shift(random, 128, 32, 32, 4); }

}  // namespace

std::vector<CaseFamily> scale_shift_cases() {
  return {{"Random", random_scale_shift, 12},
          {"VectorOfTheImage", vector_of_image, 2},
          {"128x32x32", large_scale_shift, 1, true}};
}

}  // namespace dpm::test
