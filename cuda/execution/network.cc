#include "cuda/execution/network.h"

#include <string>

#include "backend/bindings.h"

namespace dpm::cuda {

namespace {

Network::Bound bound_as(const dpm_graph& graph, const char* name) {
  const int binding = find_binding(graph, name);
  return {binding, binding < 0 ? -1 : graph.bindings[binding].value};
}

}  // namespace

Network::Network(Device& owner, const dpm_graph& graph)
    : device(owner),
      bindings(graph.binding_count),
      image(bound_as(graph, DPM_BINDING_IMAGE)),
      time(bound_as(graph, DPM_BINDING_TIME)),
      label(bound_as(graph, DPM_BINDING_LABEL)),
      output(bound_as(graph, DPM_BINDING_OUTPUT)),
      head(bound_as(graph, DPM_BINDING_HEAD)),
      values(infos_of(graph, owner.settings.dtype)),
      conditions(graph, values) {
  require_rows(graph, "cuda");
  for (int i = 0; i < static_cast<int>(graph.binding_count); ++i) {
    const auto is_standard = [&](const Bound& bound) { return bound.binding == i; };
    if (is_standard(image) || is_standard(time) || is_standard(label) || is_standard(output) || is_standard(head)) {
      continue;
    }
    throw Error(ErrorCode::kUnsupported,
                std::string("the cuda device knows no tensor called ") + graph.bindings[i].name);
  }
  const LayerFactory factory{device, graph, values};
  layers.reserve(graph.node_count);
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    layers.push_back(make_layer(factory, graph.nodes[i]));
    names.emplace_back(graph.nodes[i].name);
  }
  // Errors of the copies belong to the loading.
  device.stream.wait();
}

}  // namespace dpm::cuda
