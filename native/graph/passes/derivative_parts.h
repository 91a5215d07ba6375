// The common part of both ways of differentiating a graph.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// Folds scale and shift and SiLU into the group norms before them where nothing else reads these; the folded norm is
/// then differentiated as a whole.
void fold_norms(Graph& graph);

/// Throws Error(kUnsupported) naming a node that has no derivative though others of its operation have one: attention
/// with logits of its own, an upsampling to a size.
void refuse_form(const Node& node);
/// Throws it for those that have no tangent, though they have cotangents, too: attention of two lengths, or causal.
void refuse_tangent(const Graph& graph, const Node& node);

/// Tells for every value whether it is the image or computed from it.
std::vector<bool> depend_on_image(const Graph& graph);

/// Tells for every value whether it is one of the inputs of these names, or is computed from them or from the result of
/// a node that `starts`.
std::vector<bool> depend_on(const Graph& graph, const std::vector<const char*>& inputs,
                            const std::function<bool(const Node&)>& starts);

/// Tells for every value whether an output is computed from it.
std::vector<bool> lead_to_output(const Graph& graph);

/// Adds an input called `name`, as a value that every operation may read.
int add_given(Graph& graph, const std::string& name, int channels, int height, int width);

/// Makes `value` the output called `name`; it is copied unless a convolution or an affine map writes it.
void bind_result(Graph& graph, int value, const std::string& name);

/// Adds the sum of a map's pixels, a vector: of a vector itself.
int sum_of_pixels(Graph& graph, int value, const std::string& name);

/// Takes the scale from a scale and shift, with a shift of zero: the factor of the derivative.
int scale_alone(Graph& graph, int scale_and_shift, const std::string& name);

}  // namespace dpm::graph
