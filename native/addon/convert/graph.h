// Graphs as JavaScript writes them.
#pragma once

#include <napi.h>

#include "addon/convert/opened_network.h"

namespace dpm::addon {

/// Of the arguments `graph` and `options` of `loadNetwork`. Throws Error(kArgument); what the graph says is checked
/// when it is loaded.
OpenNetwork to_graph_network(const Napi::Object& graph, const Napi::Object& options);

}  // namespace dpm::addon
