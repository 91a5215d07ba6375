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
  return {{"Random", random_derivative, 12}, {"256x16x16", large_derivative, 2, true}};
}

}  // namespace dpm::test
