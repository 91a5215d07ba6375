// A graph as text, for looking at what the passes have made of it.
#pragma once

#include <string>

#include "graph/graph.h"

namespace dpm::graph {

/// An object of `values`, `nodes` (with the attributes of each operation) and `constants`, without their data.
std::string dump_json(const Graph& graph);

/// A drawing for Graphviz: nodes, with an edge from whoever writes a value to each of its readers.
std::string dump_dot(const Graph& graph);

}  // namespace dpm::graph
