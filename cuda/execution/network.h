// A network's layers with their packed weights.
#pragma once

#include <memory>
#include <vector>

#include "cuda/layers/layer.h"

namespace dpm::cuda {

struct Network : Buried {
  /// Packs the weights of `graph` on the card.
  Network(Device& owner, const dpm_graph& graph);

  /// The value with this role, or -1.
  [[nodiscard]] int external(dpm_role role) const;

  Device& device;
  std::vector<ValueInfo> values;
  std::vector<std::unique_ptr<Layer>> layers;
};

}  // namespace dpm::cuda
