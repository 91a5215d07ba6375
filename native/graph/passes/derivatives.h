// Graphs of derivatives, made of the existing operations, so that every device that runs a network runs its
// derivatives.
#pragma once

#include <cstddef>
#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// The choice of a network's values that are kept until its derivative reads them.
enum class Recompute {
  kNone,    ///< all values that the derivative reads
  kNorms,   ///< all of these but results of norms, activations and views, which are computed again
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

/// Where the cotangents of the outputs come from.
enum class Seed {
  kGiven,         ///< inputs of the network
  kSquare,        ///< the derivative of a square loss of the output, for the inputs DPM_BINDING_TARGET and _LOSS_WEIGHT
  kResidual,      ///< that of the second output, whose targets are the squared differences of output and target
  kNoise,         ///< that of the second output, whose targets are the squared targets
  kHead,          ///< that of the second output, whose targets are given
  kCrossEntropy,  ///< the derivative of -ln p(label) with logits as the output, for the input DPM_BINDING_LABEL
};

/// Returns whether a loss is of the network's second output (Bao et al. 2022, NPR-DPM and SN-DPM; Ou et al. 2024,
/// OCM-DPM).
constexpr bool is_of_head(Seed seed) { return seed == Seed::kResidual || seed == Seed::kNoise || seed == Seed::kHead; }

/// Returns whether a loss is a square.
constexpr bool is_square(Seed seed) { return seed != Seed::kGiven && seed != Seed::kCrossEntropy; }

/// What training differentiates.
struct Training {
  std::vector<int> constants;  ///< indices of the constants whose gradients are wanted
  bool image = false;          ///< the image's cotangent is wanted, too
  bool context = false;        ///< that of each row's context (DPM_BINDING_CONTEXT_COTANGENT) is wanted, too
  Recompute recompute = Recompute::kNone;
  Seed seed = Seed::kGiven;
  float row_weight = 1;  ///< factor of each row's cross entropy; rows of a square loss have their own
};

/// Returns the constants that have gradients: weights and biases of convolutions and norms, biases, positions and rows
/// of tables, as far as an output depends on them, and nothing that no checkpoint trains (Fourier frequencies, matrices
/// of DPM_OP_SEPARABLE).
std::vector<int> differentiable_constants(const Graph& graph);

/// Appends the nodes that compute gradients of constants from cotangents of the outputs, which are inputs as those of
/// `differentiate`, or from the derivative of a loss, which, if it is a square, is also written to the binding of the
/// cotangent of the output that it is of. Each gradient, a sum over rows, is added to the tensor of the binding
/// DPM_BINDING_GRADIENT and the constant's name; several bindings of a name are terms of one gradient. Only values
/// between a wanted constant and an output get cotangents. Throws as `differentiate` does; Error(kArgument) where there
/// is no such constant or two have one name, Error(kUnsupported) naming a constant without a gradient, for a loss of
/// the output of a network that has a second one, and for one of a second output that is not there.
void differentiate_training(Graph& graph, const Training& training);

/// Adds the nodes that push a tangent of the image, the new input DPM_BINDING_IMAGE_TANGENT, forward to
/// DPM_BINDING_OUTPUT_TANGENT and, where there is a head, DPM_BINDING_HEAD_TANGENT: J times it. Each node follows the
/// one that it belongs to, so that nothing is kept for later. Requirements and errors are those of `differentiate`.
void linearise(Graph& graph);

/// Recomputes values just before nodes from number `forward` on read them, so that they are not kept until there. The
/// results are the same, to the bit where a device computes equal nodes alike.
void compute_again(Graph& graph, std::size_t forward, Recompute recompute);

/// Returns the weight of the convolution that is the adjoint of one with `weight`, [out, in, ...]: channels exchanged,
/// both axes of the kernel reversed; for a matrix, its transpose. It is read when it is loaded; the memory or file
/// behind `weight` has to live until then.
Constant transposed(const Constant& weight);

}  // namespace dpm::graph
