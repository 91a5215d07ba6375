// Graphs of derivatives: of the primitives that there are, so that whatever runs a network runs its derivatives.
#pragma once

#include <cstddef>

#include "graph/graph.h"

namespace dpm::graph {

/// What of a network is kept until its derivative reads it.
enum class Recompute {
  kNone,    ///< everything that it reads
  kBlocks,  ///< inputs of blocks and skips; the inside of a block is computed again where the derivative reads it
};

/// Appends the nodes that pull cotangents of the outputs back to the image. Every output gets an input of its shape,
/// DPM_BINDING_OUTPUT_COTANGENT and, where there is a head, DPM_BINDING_HEAD_COTANGENT; the result is
/// DPM_BINDING_IMAGE_COTANGENT, J^T times these. Group norms are folded with the scale and shift and the SiLU behind
/// them first. For graphs as they are built, before fusion. Throws Error(kUnsupported) naming a node that cannot be
/// differentiated, and where no output depends on the image.
void differentiate(Graph& graph, Recompute recompute = Recompute::kNone);

/// The same of a classifier, whose output is logits: the result is the derivative of ln p(label) by the image, of
/// the new input DPM_BINDING_LABEL. Throws Error(kUnsupported) for an output that is a map, and for a graph that takes
/// labels or has a second output.
void differentiate_label(Graph& graph, Recompute recompute = Recompute::kNone);

/// Adds the nodes that push a tangent of the image, the new input DPM_BINDING_IMAGE_TANGENT, forward to
/// DPM_BINDING_OUTPUT_TANGENT and, where there is a head, DPM_BINDING_HEAD_TANGENT: J times it. Each follows the node
/// that it belongs to, so that nothing is kept for later. Otherwise as `differentiate`.
void linearise(Graph& graph);

/// Has what the nodes from number `forward` on read of the inside of blocks computed again in front of them, so that it
/// is not kept until there. The results are the same, to the bit where a device computes equal nodes alike.
void recompute_blocks(Graph& graph, std::size_t forward);

/// The weight of the convolution that is the adjoint of one with `weight`, [out, in, ...]: channels exchanged, both
/// axes of the kernel reversed. Of a matrix, its transpose. Read when it is loaded; what `weight` refers to has to live
/// until then.
Constant transposed(const Constant& weight);

}  // namespace dpm::graph
