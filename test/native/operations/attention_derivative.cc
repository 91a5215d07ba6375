// Cases of cotangents and tangents of attention, as nodes of their own.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case attention_derivative(RandomValues& random, dpm_op op, int heads, int channels, int side, int batch) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(channels, side, side));
  std::vector<int> inputs(op == DPM_OP_ATTENTION_BACKWARD ? 4 : 6);
  for (int& input : inputs) input = maker.convolution(x, channels, {}, 1 / std::sqrt(static_cast<float>(channels)));
  maker.leave(maker.add(op, inputs, graph::Attention{heads}));
  return without_pushforward(without_pullback(image_case(maker, random, batch), op, "this operation has no derivative"),
                             op, "its vector depends on the image, which has no derivative yet");
}

/// Makes cotangents of attention to keys of another number, or causally to as many; both results are added up per
/// channel, which tells one from the other.
Case crossed_derivative(RandomValues& random, int heads, int channels, int side, int keys, bool causal, int batch) {
  GraphMaker maker(random);
  const int image = maker.image(channels, side, side);
  const int x = maker.enter(image);
  const int tokens = causal ? maker.view(x, side * side, 1) : maker.separable(x, keys, 1);
  const auto product = [&](int of) {
    return maker.convolution(of, channels, {}, 1 / std::sqrt(static_cast<float>(channels)));
  };
  const int of_query = maker.add(DPM_OP_ATTENTION_BACKWARD, {product(x), product(tokens), product(tokens), product(x)},
                                 graph::Attention{heads, causal});
  const int of_keys = maker.graph().nodes.back().outputs[1];
  const int back = maker.separable(maker.convolution(of_keys, channels, {}), side, side);
  maker.leave(maker.sum(of_query, back));
  return without_pushforward(
      without_pullback(image_case(maker, random, batch), DPM_OP_ATTENTION_BACKWARD, "this operation has no derivative"),
      DPM_OP_ATTENTION_BACKWARD, "its vector depends on the image, which has no derivative yet");
}

Case random_crossed(RandomValues& random, int index) {
  const int heads = random.between(1, 3);
  const int channels = heads * random.between(1, 40);
  return crossed_derivative(random, heads, channels, random.between(2, 7), random.between(1, 30), index % 3 == 2,
                            random.between(1, 3));
}

Case large_crossed(RandomValues& random, int /*index*/) { return crossed_derivative(random, 8, 320, 32, 77, false, 1); }

dpm_op either(int index) { return index % 2 == 0 ? DPM_OP_ATTENTION_BACKWARD : DPM_OP_ATTENTION_TANGENT; }

Case random_derivative(RandomValues& random, int index) {
  const int heads = random.between(1, 3);
  const int channels = heads * random.between(1, 40);
  const int side = random.between(1, 7);
  return attention_derivative(random, either(index), heads, channels, side, random.between(1, 3));
}

Case large_derivative(RandomValues& random, int index) {
  return attention_derivative(random, either(index), 4, 256, 16, 1);
}

}  // namespace

std::vector<CaseFamily> attention_derivative_cases() {
  return {{"Random", random_derivative, 12},
          {"Crossed", random_crossed, 18},
          {"256x16x16", large_derivative, 2, true},
          {"320x32x32of77", large_crossed, 1, true}};
}

}  // namespace dpm::test
