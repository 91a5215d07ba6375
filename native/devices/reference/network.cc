#include "devices/reference/network.h"

#include <chrono>

#include "backend/bindings.h"
#include "backend/constant.h"
#include "core/error.h"

namespace dpm::reference {
namespace {

std::vector<double> doubles(const dpm_constant& constant) {
  std::vector<double> result(element_count(constant));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<double>(load_constant(constant, i));
  return result;
}

/// A map of sample n: in the arena, or `staging` filled from an external value.
Map map_of(const Executable& executable, const dpm_bindings& bindings, int value, std::uint32_t n,
           std::vector<double>& staging) {
  const dpm_value& shape = executable.network.values[static_cast<std::size_t>(value)];
  Map map{nullptr, shape.channels, shape.height, shape.width};
  if (shape.role == DPM_ROLE_INTERNAL) {
    const auto elements = static_cast<std::uint64_t>(map.elements());
    map.data = executable.arena + executable.batch * executable.offsets[static_cast<std::size_t>(value)] + n * elements;
    return map;
  }
  staging.assign(static_cast<std::size_t>(map.elements()), -1.0);
  map.data = staging.data();
  const dpm_view& view = binding_of(bindings, shape.role);
  if (view.buffer == nullptr) return map;
  const float* source = row(view, n);
  if (shape.role == DPM_ROLE_LABEL) {
    staging[0] = reinterpret_cast<const std::int32_t*>(source)[0];
  } else {
    for (std::size_t i = 0; i < staging.size(); ++i) staging[i] = static_cast<double>(source[i]);
  }
  return map;
}

}  // namespace

Network::Network(Device& owner, const dpm_graph& graph)
    : device(owner), values(graph.values, graph.values + graph.value_count) {
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    if (!supports(graph, graph.nodes[i])) {
      throw Error(ErrorCode::kUnsupported, "the reference device runs primitive operations only");
    }
    Node node;
    node.node = graph.nodes[i];
    if (node.node.weights != nullptr) {
      node.weight = doubles(graph.constants[node.node.weights[0]]);
      node.weight_rows = graph.constants[node.node.weights[0]].dims[0];
    }
    if (node.node.biases != nullptr) node.bias = doubles(graph.constants[node.node.biases[0]]);
    node.node.weights = node.node.biases = nullptr;
    nodes.push_back(std::move(node));
  }
}

Executable::Executable(Network& owner, const dpm_plan& plan)
    : network(owner),
      batch(plan.batch),
      offsets(plan.offsets, plan.offsets + owner.values.size()),
      arena(reinterpret_cast<double*>(Handle::of(plan.arena).bytes.data())) {}

void Executable::run(const dpm_bindings& bindings, double* node_seconds) const {
  require(bindings.batch <= batch, "the batch is larger than the executable's");
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Network::Node& layer = network.nodes[i];
    for (std::uint32_t n = 0; n < bindings.batch; ++n) {
      std::vector<double> staging[DPM_MAX_NODE_INPUTS + 1];
      Map inputs[DPM_MAX_NODE_INPUTS];
      for (int k = 0; k < DPM_MAX_NODE_INPUTS; ++k) {
        const int input = layer.node.inputs[k];
        if (input >= 0) inputs[k] = map_of(*this, bindings, input, n, staging[k]);
      }
      const Map out = map_of(*this, bindings, layer.node.output, n, staging[DPM_MAX_NODE_INPUTS]);
      run_node(layer, inputs, out);
      const dpm_value& shape = network.values[static_cast<std::size_t>(layer.node.output)];
      if (shape.role == DPM_ROLE_INTERNAL) continue;
      float* target = row(binding_of(bindings, shape.role), n);
      for (int e = 0; e < out.elements(); ++e) target[e] = static_cast<float>(out.data[e]);
    }
    if (node_seconds == nullptr) continue;
    node_seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

}  // namespace dpm::reference
