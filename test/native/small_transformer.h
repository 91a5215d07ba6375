// A network of the operations that transformers have beside products: norms of pixels, gates and other activations,
// attention to other tokens and to those before.
#pragma once

#include <vector>

#include "graph_maker.h"

namespace dpm::test {

/// Makes the network; its weights stay `random`'s.
inline graph::Graph small_transformer(RandomValues& random) {
  GraphMaker maker(random);
  const auto linear = [&](int x, int outputs) { return maker.bias(maker.convolution(x, outputs, {})); };
  int x = maker.bias(maker.convolution(maker.image(3, 4, 5), 20, same_size(3)));
  // The second block's norm and gates are those of few channels, which no vector of a processor takes whole.
  for (const int inner : {32, 6}) {
    const int gated = maker.add(DPM_OP_GEGLU, {linear(maker.layer_norm(x, 1e-3F), 2 * inner)});
    x = maker.sum(linear(gated, 20), x);
    x = maker.sum(linear(maker.activation(linear(x, inner), DPM_ACTIVATION_QUICK_GELU), 20), x);
  }
  const auto attend = [&](int queries, int tokens, bool causal) {
    // Logits of moderate size, because differences are taken in steps of a moderate size.
    const std::vector<int> inputs{maker.affine(linear(queries, 20), 0.2F), linear(tokens, 20), linear(tokens, 20)};
    return linear(maker.add(DPM_OP_ATTENTION, inputs, graph::Attention{2, causal}), 20);
  };
  x = maker.sum(attend(maker.layer_norm(x, 1e-3F), maker.separable(x, 7, 1), false), x);
  const int line = maker.view(maker.layer_norm(x, 1e-3F), 20, 1);
  x = maker.sum(maker.view(attend(line, line, true), 4, 5), x);
  const int bounded = maker.activation(maker.layer_norm(linear(x, 7), 1e-3F), DPM_ACTIVATION_TANH);
  maker.output(linear(bounded, 2));
  return maker.graph();
}

}  // namespace dpm::test
