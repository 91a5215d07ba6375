// The nodes of a loaded network as JavaScript objects.
#pragma once

#include <napi.h>

#include "graph/graph.h"

namespace dpm::addon {

/// Describes each node: its operation, its input values and their places in memory.
Napi::Array to_nodes(Napi::Env env, const graph::Graph& graph);

}  // namespace dpm::addon
