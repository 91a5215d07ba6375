// A graph of a FIR operation whose maps become channel ranges of wider ones where the passes run.
#pragma once

#include "graph/graph.h"
#include "graph_maker.h"

namespace dpm::test {

/// Adds a resampling with `op`; `padding` of a downsampling.
inline int resample(GraphMaker& maker, dpm_op op, int input, int padding) {
  if (op == DPM_OP_FIR_DOWNSAMPLE) return maker.add(op, {input}, graph::FirDownsample{padding});
  return maker.add(op, {input});
}

/// The image and twice its channels, resampled.
inline graph::Graph fir_graph(dpm_op op, int channels, int height, int width, int padding) {
  RandomValues none(0);
  GraphMaker maker(none);
  const int x = maker.enter(maker.image(channels, height, width));
  const int wide = maker.add(DPM_OP_CONCAT, {x, maker.enter(x)});
  const int first = resample(maker, op, x, padding);
  maker.leave(maker.add(DPM_OP_CONCAT, {first, resample(maker, op, wide, padding)}));
  return maker.graph();
}

}  // namespace dpm::test
