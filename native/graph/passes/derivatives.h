// Graphs of derivatives: of the primitives that there are, so that whatever runs a network runs its derivatives.
#pragma once

#include "graph/graph.h"

namespace dpm::graph {

/// Appends the nodes that pull cotangents of the outputs back to the image. Every output gets an input of its shape,
/// DPM_BINDING_OUTPUT_COTANGENT and, where there is a head, DPM_BINDING_HEAD_COTANGENT; the result is
/// DPM_BINDING_IMAGE_COTANGENT, J^T times these. Group norms are folded with the scale and shift and the SiLU behind
/// them first. For graphs as they are built, before fusion. Throws Error(kUnsupported) naming a node that cannot be
/// differentiated, and where no output depends on the image.
void differentiate(Graph& graph);

/// The same of a classifier, whose output is logits: the result is the derivative of ln p(label) by the image, of
/// the new input DPM_BINDING_LABEL. Throws Error(kUnsupported) for an output that is a map, and for a graph that takes
/// labels or has a second output.
void differentiate_label(Graph& graph);

/// Adds the nodes that push a tangent of the image, the new input DPM_BINDING_IMAGE_TANGENT, forward to
/// DPM_BINDING_OUTPUT_TANGENT and, where there is a head, DPM_BINDING_HEAD_TANGENT: J times it. Each follows the node
/// that it belongs to, so that nothing is kept for later. Otherwise as `differentiate`.
void linearise(Graph& graph);

/// The weight of the convolution that is the adjoint of one with `weight`, [out, in, ...]: channels exchanged, both
/// axes of the kernel reversed. Of a matrix, its transpose. Read when it is loaded; what `weight` refers to has to live
/// until then.
Constant transposed(const Constant& weight);

}  // namespace dpm::graph
