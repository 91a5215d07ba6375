// A network of the operations that transformers have beside products: norms of pixels, gates, their activations.
#pragma once

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
  const int bounded = maker.activation(maker.layer_norm(linear(x, 7), 1e-3F), DPM_ACTIVATION_TANH);
  maker.output(linear(bounded, 2));
  return maker.graph();
}

}  // namespace dpm::test
