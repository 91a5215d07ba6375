// Graphs of derivatives, made of the existing operations, so that every device that runs a network runs its
// derivatives.
#pragma once

#include <cstddef>

#include "graph/graph.h"

namespace dpm::graph {

/// The choice of a network's values that are kept until its derivative reads them.
enum class Recompute {
  kNone,    ///< all values that the derivative reads
  kBlocks,  ///< inputs of blocks, and skips; the inside of a block is computed again where the derivative reads it
};

/// Appends the nodes that pull cotangents of the outputs back to the image. Every output gets an input of its shape,
/// DPM_BINDING_OUTPUT_COTANGENT and, where there is a head, DPM_BINDING_HEAD_COTANGENT; the result is
/// DPM_BINDING_IMAGE_COTANGENT, J^T times these. Group norms are first folded with the scale and shift and the SiLU
/// behind them. The graph has to be as it was built, before fusion. Throws Error(kUnsupported) naming a node that
/// cannot be differentiated, and where no output depends on the image.
void differentiate(Graph& graph, Recompute recompute = Recompute::kNone);

/// Appends the derivative of a classifier, whose output is logits: the result is the derivative of ln p(label) by the
/// image, for the new input DPM_BINDING_LABEL. Throws Error(kUnsupported) as `differentiate` does, for an output that
/// is a map, and for a graph that takes labels or has a second output.
void differentiate_label(Graph& graph, Recompute recompute = Recompute::kNone);

/// Adds the nodes that push a tangent of the image, the new input DPM_BINDING_IMAGE_TANGENT, forward to
/// DPM_BINDING_OUTPUT_TANGENT and, where there is a head, DPM_BINDING_HEAD_TANGENT: J times it. Each node follows the
/// one that it belongs to, so that nothing is kept for later. Requirements and errors are those of `differentiate`.
void linearise(Graph& graph);

/// Recomputes values inside blocks just before nodes from number `forward` on read them, so that they are not kept
/// until there. The results are the same, to the bit where a device computes equal nodes alike.
void recompute_blocks(Graph& graph, std::size_t forward);

/// Returns the weight of the convolution that is the adjoint of one with `weight`, [out, in, ...]: channels exchanged,
/// both axes of the kernel reversed; for a matrix, its transpose. It is read when it is loaded; the memory or file
/// behind `weight` has to live until then.
Constant transposed(const Constant& weight);

}  // namespace dpm::graph
