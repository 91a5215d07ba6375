// Iteration over the weights that a node stacks along its output channels.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace dpm::cpu {

/// Calls `pack(constant, first output channel)` for every weight of `node`, in order.
template <typename Pack>
void for_weights(const dpm_graph& graph, const dpm_node& node, const Pack& pack) {
  int channel = 0;
  for (std::uint32_t part = 0; part < node.weight_count; ++part) {
    const dpm_constant& weight = graph.constants[node.weights[part]];
    pack(weight, channel);
    channel += static_cast<int>(weight.dims[0]);
  }
}

}  // namespace dpm::cpu
