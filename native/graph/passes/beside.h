// The pass that lets devices run shortcuts beside other nodes.
#pragma once

#include "graph/passes/fusion.h"

namespace dpm::graph {

/// Moves convolutions whose result is only the residual of a later one (the shortcuts of blocks that change the number
/// of channels) to the place where their input is ready, and marks them: a device may run them beside the rest of the
/// block.
void run_residuals_beside(Graph& graph, const Supports& supports);

}  // namespace dpm::graph
