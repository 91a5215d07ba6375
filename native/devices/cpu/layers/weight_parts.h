// The weights that a node stacks along its output channels, and where each of them begins.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace dpm::cpu {

class WeightParts {
 public:
  /// Calls `pack(constant, first output channel)` for every weight of `node`, in order.
  template <typename Pack>
  void pack_all(const dpm_graph& graph, const dpm_node& node, const Pack& pack) {
    int channel = 0;
    for (std::uint32_t part = 0; part < node.weight_count; ++part) {
      const dpm_constant& weight = graph.constants[node.weights[part]];
      parts_.push_back({node.weights[part], channel});
      pack(weight, channel);
      channel += static_cast<int>(weight.dims[0]);
    }
  }

  /// Calls `pack` again with what takes the place of constant `index`, wherever that is stacked.
  template <typename Pack>
  void repack(int index, const dpm_constant& constant, const Pack& pack) const {
    for (const Part& part : parts_) {
      if (part.constant == index) pack(constant, part.first);
    }
  }

 private:
  struct Part {
    int constant;
    int first;
  };

  std::vector<Part> parts_;
};

}  // namespace dpm::cpu
