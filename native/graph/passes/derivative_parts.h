// What both ways of differentiating a graph have in common.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// Folds scale and shift and SiLU into the group norms before them, where these alone are read: the norm with both is
/// what is differentiated.
void fold_norms(Graph& graph);

/// Of every value, whether it is the image or computed from it.
std::vector<bool> depend_on_image(const Graph& graph);

/// Of every value, whether an output is computed from it.
std::vector<bool> lead_to_output(const Graph& graph);

/// A new input called `name`, as a value that every operation may read.
int add_given(Graph& graph, const std::string& name, int channels, int height, int width);

/// Makes `value` the output called `name`, by a copy where another node than a convolution or an affine map writes it.
void bind_result(Graph& graph, int value, const std::string& name);

/// Of scale and shift the scale, with a shift of zero: what the derivative of a value is scaled by.
int scale_alone(Graph& graph, int scale_and_shift, const std::string& name);

}  // namespace dpm::graph
