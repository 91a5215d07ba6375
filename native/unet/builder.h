// Writes the graph of a canonical U-Net in primitive operations; fusing them is the passes' work.
#pragma once

#include "graph/graph.h"
#include "unet/description.h"
#include "weights/weights.h"

namespace dpm::unet {

/// Throws Error(kTensorMissing) or Error(kTensorShape) naming the tensor or block. The graph refers to `weights`.
graph::Graph build_graph(const Description& description, const Weights& weights);

}  // namespace dpm::unet
