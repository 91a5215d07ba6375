#include "devices/reference/network.h"

#include <chrono>

#include "backend/bindings.h"
#include "backend/constant.h"
#include "core/error.h"

namespace dpm::reference {
namespace {

std::vector<double> doubles(const dpm_constant& constant) {
  const ConstantElements elements(constant);
  std::vector<double> result(elements.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<double>(elements[i]);
  return result;
}

/// Returns the row of a bound value's tensor that sample n reads: its group's, for a value of groups.
std::uint32_t row_read(const dpm_value& shape, const dpm_bindings& bindings, std::uint32_t n) {
  if (shape.varies != DPM_VARIES_GROUP || bindings.groups.buffer == nullptr) return n;
  return reinterpret_cast<const std::uint32_t*>(row(bindings.groups, 0))[n];
}

/// Returns a map of sample n: in the arena, or `staging` filled from an external value.
Map map_of(const Executable& executable, const dpm_bindings& bindings, int value, std::uint32_t n,
           std::vector<double>& staging) {
  const dpm_value& shape = executable.network.values[static_cast<std::size_t>(value)];
  Map map{nullptr, shape.channels, shape.height, shape.width};
  if (!is_bound(shape)) {
    const auto elements = static_cast<std::uint64_t>(map.elements());
    map.data = executable.arena + executable.batch * executable.offsets[static_cast<std::size_t>(value)] + n * elements;
    return map;
  }
  staging.assign(static_cast<std::size_t>(map.elements()), -1.0);
  map.data = staging.data();
  const dpm_view& view = bindings.views[shape.binding];
  if (view.buffer == nullptr) return map;
  const float* source = row(view, row_read(shape, bindings, n));
  if (executable.network.elements[static_cast<std::size_t>(shape.binding)] == DPM_ELEMENT_I32) {
    staging[0] = reinterpret_cast<const std::int32_t*>(source)[0];
  } else {
    for (std::size_t i = 0; i < staging.size(); ++i) staging[i] = static_cast<double>(source[i]);
  }
  return map;
}

/// Elements of bound values as doubles, for each of a node's operands.
using Staging = std::vector<std::vector<double>>;

std::vector<Map> inputs_of(const Executable& executable, const dpm_bindings& bindings, const Network::Node& node,
                           std::uint32_t n, Staging& staging) {
  std::vector<Map> inputs(staging.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const int input = node.operands.input(k);
    if (input >= 0) inputs[k] = map_of(executable, bindings, input, n, staging[k]);
  }
  return inputs;
}

}  // namespace

Network::Network(Device& owner, const dpm_graph& graph)
    : device(owner), values(graph.values, graph.values + graph.value_count) {
  for (std::uint32_t i = 0; i < graph.binding_count; ++i) {
    elements.push_back(static_cast<dpm_element>(graph.bindings[i].element));
  }
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& from = graph.nodes[i];
    if (!runs(graph, from)) {
      throw Error(ErrorCode::kUnsupported,
                  std::string(from.name) + ": the reference device runs primitive operations only");
    }
    Node node(from);
    if (from.weight_count > 0) {
      node.weight_constant = graph.constants[from.weights[0]];
      node.weight = doubles(node.weight_constant);
      node.weight_rows = graph.constants[from.weights[0]].dims[0];
    }
    // Weights of a convolution are stacked along its output channels.
    for (std::uint32_t k = 1; from.op == DPM_OP_CONVOLUTION && k < from.weight_count; ++k) {
      const std::vector<double> more = doubles(graph.constants[from.weights[k]]);
      node.weight.insert(node.weight.end(), more.begin(), more.end());
    }
    if (from.op == DPM_OP_SEPARABLE) {
      node.second_weight_constant = graph.constants[from.weights[1]];
      node.second_weight = doubles(node.second_weight_constant);
    }
    if (from.bias_count > 0) {
      node.bias_constant = graph.constants[from.biases[0]];
      node.bias = doubles(node.bias_constant);
    }
    nodes.push_back(std::move(node));
  }
}

Executable::Executable(Network& owner, const dpm_plan& plan)
    : network(owner),
      batch(plan.batch),
      offsets(plan.offsets, plan.offsets + owner.values.size()),
      arena(reinterpret_cast<double*>(Handle::of(plan.arena).bytes.data())) {}

void Executable::run_node(const Network::Node& node, const dpm_bindings& bindings, std::uint32_t n) const {
  Staging staging(node.operands.inputs());
  const std::vector<Map> inputs = inputs_of(*this, bindings, node, n, staging);
  Staging results(node.operands.outputs());
  std::vector<Map> outputs(results.size());
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    outputs[k] = map_of(*this, bindings, node.operands.output(k), n, results[k]);
  }
  reference::run_node(node, inputs.data(), outputs.data());
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const dpm_value& shape = network.values[static_cast<std::size_t>(node.operands.output(k))];
    if (!is_bound(shape)) continue;
    float* target = row(bindings.views[shape.binding], n);
    for (int e = 0; e < outputs[k].elements(); ++e) target[e] = static_cast<float>(outputs[k].data[e]);
  }
}

void Executable::sum_rows(const Network::Node& node, const dpm_bindings& bindings) const {
  const dpm_value& shape = network.values[static_cast<std::size_t>(node.operands.output())];
  std::vector<double> elements(static_cast<std::size_t>(shape.channels) * static_cast<std::size_t>(shape.height) *
                               static_cast<std::size_t>(shape.width));
  const Map sum{elements.data(), shape.channels, shape.height, shape.width};
  for (std::uint32_t n = 0; n < bindings.batch; ++n) {
    Staging staging(node.operands.inputs());
    add_row(node, inputs_of(*this, bindings, node, n, staging).data(), sum);
  }
  float* target = row(bindings.views[shape.binding], 0);
  require(target != nullptr, "a sum over rows has no tensor");
  for (std::size_t e = 0; e < elements.size(); ++e) {
    target[e] = static_cast<float>(static_cast<double>(target[e]) + elements[e]);
  }
}

void Executable::run(const dpm_bindings& bindings, double* node_seconds) const {
  require(bindings.batch <= batch, "the batch is larger than the executable's");
  require(bindings.count == network.elements.size(), "an evaluation binds other tensors than the graph has");
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Network::Node& node = network.nodes[i];
    if (network.values[static_cast<std::size_t>(node.operands.output())].varies == DPM_VARIES_SHARED) {
      sum_rows(node, bindings);
    } else {
      for (std::uint32_t n = 0; n < bindings.batch; ++n) run_node(node, bindings, n);
    }
    if (node_seconds == nullptr) continue;
    node_seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

}  // namespace dpm::reference
