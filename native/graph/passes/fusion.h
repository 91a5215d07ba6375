// Passes that merge nodes. They propose, the device's `supports` decides: a device that refuses every fusion (the
// reference device) runs the graph as the builder wrote it.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace dpm::graph {

/// Tells whether the device can run `node` within `graph`.
using Supports = std::function<bool(const Graph& graph, const Node& node)>;

/// Merges 1x1 convolutions that share their input into one product whose outputs become channel ranges of one value:
/// all time projections as one GEMM, q, k and v as one GEMM.
void merge_sibling_products(Graph& graph, const Supports& supports);

/// Folds producers into their only consumer until nothing changes: convolution + bias, + channel vector, + residual,
/// + scale, + SiLU; group norm + scale and shift + SiLU; upsampling into the following convolution.
void fuse_chains(Graph& graph, const Supports& supports);

/// Makes the inputs of a concatenation channel ranges of its output, so that their producers write directly to the
/// place where they would have been copied. The output then occupies memory from its first part on.
void remove_concatenations(Graph& graph, const Supports& supports);

/// Moves the channel vector from convolutions whose result only a group norm reads to the norm: where norm and
/// convolution are separate kernels, the sum then costs no pass of its own.
void move_vectors_to_norms(Graph& graph, const Supports& supports);

/// Moves the biases of such convolutions to the norm: a norm's second bias is added to its input. The convolution then
/// has nothing left behind it that would take a pass.
void move_biases_to_norms(Graph& graph, const Supports& supports);

/// Makes the results of views that keep the map's height and width channel ranges of their inputs.
void remove_views(Graph& graph, const Supports& supports);

/// Runs all passes in order.
void fuse(Graph& graph, const Supports& supports);

}  // namespace dpm::graph
