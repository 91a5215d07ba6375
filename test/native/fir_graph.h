// A graph of a FIR operation whose maps become channel ranges of wider ones where the passes run.
#pragma once

#include <string>

#include "graph/graph.h"

namespace dpm::test {

/// The image and twice its channels, resampled with `op`; `padding` of a downsampling.
inline graph::Graph fir_graph(dpm_op op, int channels, int height, int width, int padding) {
  graph::Graph graph;
  const auto add = [&](dpm_op kind, const std::string& name, int first, int second = -1) {
    graph::Node node;
    node.op = kind;
    node.name = name;
    node.inputs[0] = first;
    node.inputs[1] = second;
    if (kind == DPM_OP_FIR_DOWNSAMPLE) node.pad_before = node.pad_after = padding;
    // Of the copies: it keeps them from being fused away.
    node.shift = kind == DPM_OP_AFFINE ? 0.25F : 0.0F;
    return graph.add(node);
  };
  const int x = add(DPM_OP_AFFINE, "copy", graph.add_input(DPM_ROLE_IMAGE, channels, height, width));
  const int wide = add(DPM_OP_CONCAT, "wide", x, add(DPM_OP_AFFINE, "second", x));
  const int both = add(DPM_OP_CONCAT, "both", add(op, "resample", x), add(op, "resample wide", wide));
  graph.values[static_cast<std::size_t>(add(DPM_OP_AFFINE, "out", both))].role = DPM_ROLE_OUTPUT;
  return graph;
}

}  // namespace dpm::test
