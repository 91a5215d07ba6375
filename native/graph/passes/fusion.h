// Passes that merge nodes. They propose, the device's `supports` decides: a device that refuses every fusion (the
// reference device) runs the graph as the builder wrote it.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace dpm::graph {

/// Whether the device can run `node` within `graph`.
using Supports = std::function<bool(const Graph& graph, const Node& node)>;

/// Merges 1x1 convolutions that share their input into one product whose outputs become channel ranges of one value:
/// all time projections as one GEMM, q, k and v as one GEMM.
void merge_sibling_products(Graph& graph, const Supports& supports);

/// Folds producers into their only consumer until nothing changes: convolution + bias, + channel vector, + residual,
/// + scale, + SiLU; group norm + scale and shift + SiLU; upsampling into the following convolution.
void fuse_chains(Graph& graph, const Supports& supports);

/// Makes the inputs of a concatenation channel ranges of its output, so that their producers write where it would have
/// copied them. The place of the output is then taken from its first part on.
void remove_concatenations(Graph& graph, const Supports& supports);

/// Takes the channel vector out of convolutions whose result only a group norm reads, and lets the norm add it: where
/// the norm is one kernel and the convolution another's, the sum costs no pass of its own.
void move_vectors_to_norms(Graph& graph, const Supports& supports);

/// The same for the biases of such convolutions: a norm's second bias is added to what it normalises. So a convolution
/// has nothing left behind it that would take a pass.
void move_biases_to_norms(Graph& graph, const Supports& supports);

/// Makes the results of views of a map's own sides channel ranges of what they are views of.
void remove_views(Graph& graph, const Supports& supports);

/// All passes in order.
void fuse(Graph& graph, const Supports& supports);

}  // namespace dpm::graph
