// The ranges that attributes of nodes have to be in.
#pragma once

#include "graph/node.h"

namespace dpm::graph {

/// What does not follow from shapes. Throws Error(kArgument) naming the node and the attribute.
void check_attributes(const Node& node);

}  // namespace dpm::graph
