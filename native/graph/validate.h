// Validation of graphs from outside, before passes, planner and devices get them.
#pragma once

#include "graph/graph.h"

namespace dpm::graph {

/// Checks everything that the rest of the engine relies on: indices, the order of nodes, that each value is made once
/// and before it is read, operands and attributes of each operation, stated shapes against inferred ones, bindings.
/// Throws Error(kArgument) or, for shapes, Error(kTensorShape), naming the node or the binding.
void validate(const Graph& graph);

}  // namespace dpm::graph
