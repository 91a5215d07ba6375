// Whether a graph that somebody else wrote can be handed to passes, planner and devices at all.
#pragma once

#include "graph/graph.h"

namespace dpm::graph {

/// Checks everything that the rest of the engine takes for granted: indices, the order of nodes, that each value is
/// made once and before it is read, operands and attributes of each operation, stated shapes against inferred ones,
/// bindings. Throws Error(kArgument) or, for shapes, Error(kTensorShape), naming the node or the binding.
void validate(const Graph& graph);

}  // namespace dpm::graph
