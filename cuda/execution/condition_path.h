// What of a network depends on times and labels alone.
#pragma once

#include <vector>

#include "cuda/layers/layer.h"

namespace dpm::cuda {

/// The layers of a network that read times, labels and one another's results alone, and which of these the others read.
struct ConditionPath {
  explicit ConditionPath(const dpm_graph& graph, const std::vector<ValueInfo>& values);

  /// A flag for every layer.
  std::vector<bool> is_layer;
  /// Values (with storage of their own) that these layers write, and those of them that others read.
  std::vector<int> written;
  std::vector<int> read;
};

}  // namespace dpm::cuda
