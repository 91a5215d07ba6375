// Cases of convolutions of every kernel, stride and border, without operations that a device joins to them.
#include <algorithm>
#include <utility>

#include "operations/operations.h"

namespace dpm::test {
namespace {

/// Returns the case. It has no pullback where the stride leaves over different numbers of rows and columns, or where
/// its adjoint would have to leave some out.
Case with_border(Case made) {
  const auto node = std::ranges::find(made.graph.nodes, DPM_OP_CONVOLUTION, &graph::Node::op);
  const auto& how = graph::attributes<graph::Convolution>(*node);
  const graph::Value& in = made.graph.values[static_cast<std::size_t>(node->input(0))];
  const graph::Value& out = made.graph.values[static_cast<std::size_t>(node->output())];
  const int rows = in.height - how.stride * out.height;
  const int columns = in.width - how.stride * out.width;
  if (rows == columns && rows + how.pad_before >= 0) return made;
  return without_pullback(std::move(made), DPM_OP_CONVOLUTION, "a convolution with this border has no derivative");
}

Case random_convolution(RandomValues& random, int index) {
  const int kernel = index % 3 == 0 ? 1 : 3;
  const int channels = random.between(1, index % 5 == 0 ? 70 : 20);
  const int outputs = random.between(1, index % 4 == 0 ? 90 : 34);
  const int height = random.between(2, 17);
  const int width = random.between(2, index % 7 == 0 ? 45 : 17);
  const int batch = random.between(1, 4);
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  graph::Convolution how{kernel};
  const bool bound = kernel == 3 && index % 2 == 0;
  const int input = bound ? image : maker.enter(image);
  if (kernel == 3) {
    how.stride = random.between(1, 2);
    how.pad_before = how.stride == 2 ? random.between(0, 1) : 1;
    how.pad_after = 1;
  }
  const int out = maker.convolution(input, outputs, how, 1.0F / std::sqrt(9.0F * static_cast<float>(channels)));
  if (index % 3 == 1) {
    maker.output(out);
  } else {
    maker.leave(out);
  }
  return with_border(image_case(maker, random, batch));
}

/// Makes a convolution of stride 2. Square maps have derivatives, too, whose inserted zeros a device may skip.
Case stride_of_two(RandomValues& random, int index) {
  const int channels = random.between(1, 20);
  const int side = random.between(4, 9);
  GraphMaker maker(random);
  const graph::Convolution how{index % 4 == 3 ? 5 : 3, 2, index % 2, 1 + index % 2};
  maker.leave(maker.bias(maker.convolution(maker.enter(maker.image(channels, side, side)), channels, how)));
  return with_border(image_case(maker, random, 2));
}

Case stride_of_three(RandomValues& random, int /*index*/) {
  GraphMaker maker(random);
  maker.leave(maker.convolution(maker.enter(maker.image(8, 7, 7)), 8, {.kernel = 3, .stride = 3}));
  return without_pullback(image_case(maker, random, 2), DPM_OP_CONVOLUTION,
                          "a convolution of this stride has no derivative");
}

/// Makes convolutions with the borders of the derivative of stride 2 on even maps, and one with another border.
Case zeros_between(RandomValues& random, int index) {
  constexpr graph::Convolution kHow[] = {{.kernel = 3, .pad_before = 2, .pad_after = 0},
                                         {.kernel = 3, .pad_before = 1, .pad_after = 1},
                                         {.kernel = 1},
                                         {.kernel = 5, .pad_before = 3, .pad_after = 1},
                                         {.kernel = 3, .pad_before = 0, .pad_after = 2}};
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(index % 2 == 0 ? 3 : 16, 4, 3));
  const int map = maker.bias(maker.convolution(maker.add(DPM_OP_ZERO_UPSAMPLE, {x}), 8, kHow[index % 5]));
  maker.leave(maker.silu(maker.add(DPM_OP_CHANNEL_ADD, {map, maker.time_vector(8)})));
  return without_derivatives(image_case(maker, random, 3), DPM_OP_ZERO_UPSAMPLE);
}

/// Makes logits of classifiers: the network's output is one pixel, whose channels lie beside those of the next sample.
Case random_logits(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 70);
  const int outputs = random.between(2, 70);
  const int batch = random.between(2, 40);
  GraphMaker maker(random);
  maker.output(maker.bias(maker.convolution(maker.enter(maker.image(channels, 1, 1)), outputs, {})));
  return image_case(maker, random, batch);
}

Case large_convolution(RandomValues& random, int index) {
  GraphMaker maker(random);
  const int x = maker.enter(index < 2 ? maker.image(128, 32, 32) : maker.image(256, 16, 16));
  const graph::Convolution how =
      index == 3 ? graph::Convolution{.kernel = 3, .stride = 2, .pad_after = 1} : same_size(index == 1 ? 1 : 3);
  maker.leave(maker.convolution(x, maker.channels(x), how));
  return image_case(maker, random, 4);
}

}  // namespace

std::vector<CaseFamily> convolution_cases() {
  return {{"Random", random_convolution, 60}, {"StrideOfTwo", stride_of_two, 12},
          {"StrideOfThree", stride_of_three}, {"ZerosBetween", zeros_between, 10},
          {"Logits", random_logits, 12},      {"Large", large_convolution, 4, true}};
}

}  // namespace dpm::test
