// Cases of attention with q, k and v computed from the image.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case attention(RandomValues& random, int heads, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const auto project = [&] {
    return maker.convolution(x, channels, {}, 1.5F / std::sqrt(static_cast<float>(channels)));
  };
  const int query = project();
  const int key = project();
  const int value = project();
  maker.leave(maker.attention(query, key, value, heads));
  return image_case(maker, random, batch);
}

Case random_attention(RandomValues& random, int /*index*/) {
  const int heads = random.between(1, 3);
  const int channels = heads * random.between(1, 40);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return attention(random, heads, channels, height, width, random.between(1, 3));
}

Case large_attention(RandomValues& random, int index) { return attention(random, index == 0 ? 1 : 4, 256, 16, 16, 4); }

}  // namespace

std::vector<CaseFamily> attention_cases() {
  return {{"Random", random_attention, 25}, {"256x16x16", large_attention, 2, true}};
}

}  // namespace dpm::test
