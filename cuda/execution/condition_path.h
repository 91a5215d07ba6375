// The layers of a network that depend on times and labels alone.
#pragma once

#include <vector>

#include "cuda/layers/layer.h"

namespace dpm::cuda {

/// The layers of a network that read only times, labels and one another's results, and those results that other layers
/// read.
struct ConditionPath {
  explicit ConditionPath(const dpm_graph& graph, const std::vector<ValueInfo>& values);

  /// A flag for every layer.
  std::vector<bool> is_layer;
  /// Values (with storage of their own) that these layers write, and those of them that other layers read.
  std::vector<int> written;
  std::vector<int> read;
};

}  // namespace dpm::cuda
