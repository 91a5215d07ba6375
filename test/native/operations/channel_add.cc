// Cases of a number added to each channel, which depends on the time, or on the image.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case channel_add(RandomValues& random, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  maker.leave(maker.add(DPM_OP_CHANNEL_ADD, {x, maker.time_vector(channels)}));
  return image_case(maker, random, batch);
}

Case random_channel_add(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 40);
  const int height = random.between(1, 20);
  const int width = random.between(1, 20);
  return channel_add(random, channels, height, width, random.between(1, 3));
}

/// Makes a case with an image of one pixel in place of a vector.
Case vector_of_image(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(8, 1, 1));
  maker.leave(maker.add(DPM_OP_CHANNEL_ADD, {x, maker.convolution(x, 8, {})}));
  const std::string reason = "its vector depends on the image, which has no derivative yet";
  return without_pushforward(image_case(maker, random, 2), DPM_OP_CHANNEL_ADD, reason);
}

Case large_channel_add(RandomValues& random, int /*index*/) { return channel_add(random, 128, 32, 32, 4); }

}  // namespace

std::vector<CaseFamily> channel_add_cases() {
  return {{"Random", random_channel_add, 12},
          {"VectorOfTheImage", vector_of_image},
          {"128x32x32", large_channel_add, 1, true}};
}

}  // namespace dpm::test
