// Graphs, read from JavaScript.
#pragma once

#include <napi.h>

#include "addon/convert/opened_network.h"

namespace dpm::addon {

/// Reads the arguments `graph` and `options` of `loadNetwork`. Throws Error(kArgument); the graph itself is checked
/// when it is loaded.
OpenNetwork to_graph_network(const Napi::Object& graph, const Napi::Object& options);

}  // namespace dpm::addon
