// A network's layers with their packed weights.
#pragma once

#include <memory>
#include <vector>

#include "cuda/layers/layer.h"

struct dpm_network {
  /// Packs the weights of `graph` on the card.
  dpm_network(dpm_device& owner, const dpm_graph& graph);

  /// The value with this role, or -1.
  [[nodiscard]] int external(dpm_role role) const;

  dpm_device& device;
  std::vector<dpm::cuda::ValueInfo> values;
  std::vector<std::unique_ptr<dpm::cuda::Layer>> layers;
};
