// Graphs without one of their outputs.
#pragma once

#include "graph/graph.h"

namespace dpm::graph {

/// Removes the output called `name`, if there is one, and all nodes from which no other output is computed. Constants
/// stay, read by a node or not.
void remove_output(Graph& graph, const char* name);

}  // namespace dpm::graph
