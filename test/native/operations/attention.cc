// Cases of attention with q, k and v computed from the image: of the map to itself, to another size, masked, with
// logits.
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

constexpr const char* kNoDerivative = "this form of the operation has no derivative";

int project(GraphMaker& maker, int x) {
  return maker.convolution(x, maker.channels(x), {}, 1.5F / std::sqrt(static_cast<float>(maker.channels(x))));
}

Case attention(RandomValues& random, int heads, int channels, int height, int width, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, height, width));
  const int query = project(maker, x);
  const int key = project(maker, x);
  const int value = project(maker, x);
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

/// Marks attention that has no tangent, and with logits no cotangents either.
Case without_tangent(Case made, bool logits) {
  if (!logits) {
    return without_pushforward(std::move(made), DPM_OP_ATTENTION,
                               "this form of the operation has no derivative forwards");
  }
  made = without_pullback(std::move(made), DPM_OP_ATTENTION, kNoDerivative);
  return without_pushforward(std::move(made), DPM_OP_ATTENTION, kNoDerivative);
}

/// Attention of a map to `keys` tokens that are mixed from its pixels; with logits that depend on the image.
Case crossed(RandomValues& random, int heads, int head_channels, int height, int width, int keys, bool logits,
             int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(heads * head_channels, height, width));
  const int tokens = maker.separable(x, keys, 1);
  std::vector<int> inputs = {project(maker, x), project(maker, tokens), project(maker, tokens)};
  if (logits) inputs.push_back(maker.affine(maker.convolution(maker.separable(x, 1, 1), keys, {}), 3));
  maker.leave(maker.add(DPM_OP_ATTENTION, inputs, graph::Attention{heads}));
  return without_tangent(image_case(maker, random, batch), logits);
}

/// The keys fill a part of a panel, whole panels, and every few cases more than a block of 512.
Case random_crossed(RandomValues& random, int index) {
  const int heads = random.between(1, 3);
  const int keys = index % 6 == 5 ? random.between(513, 1100) : random.between(1, 100);
  const int height = random.between(1, 9);
  const int width = random.between(1, 9);
  return crossed(random, heads, random.between(1, 40), height, width, keys == height * width ? keys + 1 : keys,
                 index % 3 == 1, random.between(1, 3));
}

/// Attention that is masked, every few cases over more tokens than a block of 512 keys.
Case random_causal(RandomValues& random, int index) {
  const int heads = random.between(1, 3);
  const int tokens = index % 4 == 3 ? random.between(513, 700) : random.between(1, 100);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(heads * random.between(1, 20), tokens, 1));
  std::vector<int> inputs = {project(maker, x), project(maker, x), project(maker, x)};
  if (index % 3 == 1) inputs.push_back(maker.affine(maker.convolution(maker.separable(x, 1, 1), tokens, {}), 3));
  maker.leave(maker.add(DPM_OP_ATTENTION, inputs, graph::Attention{heads, true}));
  return without_tangent(image_case(maker, random, random.between(1, 2)), index % 3 == 1);
}

/// Attention of a map to itself with more tokens than a block of keys.
Case random_long(RandomValues& random, int /*index*/) {
  const int heads = random.between(1, 2);
  return attention(random, heads, heads * random.between(1, 24), random.between(23, 30), random.between(23, 30), 1);
}

/// Attention whose values alone depend on the image.
Case random_values(RandomValues& random, int /*index*/) {
  const int heads = random.between(1, 2);
  const int channels = heads * random.between(2, 12);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, 1, 1));
  const int vector = maker.time_vector(channels);
  maker.leave(maker.attention(vector, vector, project(maker, x), heads));
  return image_case(maker, random, random.between(1, 3));
}

Case large_crossed(RandomValues& random, int /*index*/) { return crossed(random, 8, 40, 64, 64, 77, false, 2); }

Case large_long(RandomValues& random, int /*index*/) { return attention(random, 8, 320, 64, 64, 1); }

}  // namespace

std::vector<CaseFamily> attention_cases() {
  return {{"Random", random_attention, 25},
          {"Crossed", random_crossed, 24},
          {"Causal", random_causal, 12},
          {"Long", random_long, 3},
          {"Values", random_values, 3},
          {"256x16x16", large_attention, 2, true},
          {"320x64x64x77", large_crossed, 1, true},
          {"320x64x64", large_long, 1, true}};
}

}  // namespace dpm::test
