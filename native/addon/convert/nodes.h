// The nodes of a loaded network as JavaScript objects.
#pragma once

#include <napi.h>

#include "graph/graph.h"

namespace dpm::addon {

/// What each node computes, from which values, where they lie.
Napi::Array to_nodes(Napi::Env env, const graph::Graph& graph);

}  // namespace dpm::addon
