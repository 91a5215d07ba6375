#include "cuda/execution/network.h"

namespace dpm::cuda {

Network::Network(Device& owner, const dpm_graph& graph) : device(owner), values(infos_of(graph, owner.settings.dtype)) {
  const LayerFactory factory{device, graph, values};
  layers.reserve(graph.node_count);
  for (std::uint32_t i = 0; i < graph.node_count; ++i) layers.push_back(make_layer(factory, graph.nodes[i]));
  // Errors of the copies belong to the loading.
  device.stream.wait();
}

int Network::external(dpm_role role) const {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i].shape.role == static_cast<std::uint32_t>(role)) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace dpm::cuda
