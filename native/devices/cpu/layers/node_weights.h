// The weights that a node stacks along its output channels.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/constant.h"

namespace dpm::cpu {

/// The weights of a node in memory, one row of [input channels][taps] per output channel.
class NodeWeights {
 public:
  NodeWeights(const dpm_graph& graph, const dpm_node& node) {
    // Rows point into the parts, which therefore must not move.
    parts_.reserve(node.weight_count);
    for (std::uint32_t i = 0; i < node.weight_count; ++i) {
      const dpm_constant& weight = graph.constants[node.weights[i]];
      const ConstantElements& part = parts_.emplace_back(weight);
      const auto rows = static_cast<std::size_t>(weight.dims[0]);
      for (std::size_t row = 0; row < rows; ++row) rows_.push_back(part.floats() + row * (part.size() / rows));
    }
  }

  /// Returns the rows from output channel `first` on.
  [[nodiscard]] const float* const* rows(int first) const { return rows_.data() + first; }

 private:
  std::vector<ConstantElements> parts_;
  std::vector<const float*> rows_;
};

}  // namespace dpm::cpu
