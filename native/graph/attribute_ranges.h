// Valid ranges of nodes' attributes.
#pragma once

#include "graph/node.h"

namespace dpm::graph {

/// Checks the attributes that do not follow from shapes. Throws Error(kArgument) naming the node and the attribute.
void check_attributes(const Node& node);

}  // namespace dpm::graph
