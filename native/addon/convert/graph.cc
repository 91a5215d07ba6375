#include "addon/convert/graph.h"

#include <utility>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"
#include "addon/convert/weights.h"
#include "graph/operation.h"

namespace dpm::addon {
namespace {

std::vector<int> to_indices(const Napi::Object& object, const char* key) {
  const Napi::Array array = to_array(object, key);
  std::vector<int> indices;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value element = array.Get(i);
    const std::uint32_t index = to_uint32(element, key);
    if (index > 0x7FFFFFFF) wrong(key, "indices");
    indices.push_back(static_cast<int>(index));
  }
  return indices;
}

void add_value(graph::Graph& graph, const Napi::Object& object) {
  graph::Value value;
  value.channels = to_int(object, "channels");
  value.height = to_int(object, "height");
  value.width = to_int(object, "width");
  if (has_value(object, "binding")) {
    const std::string name = to_text(object, "binding");
    value.binding = static_cast<int>(graph.bindings.size());
    graph.bindings.push_back({name, DPM_DIRECTION_INPUT, name == DPM_BINDING_LABEL ? DPM_ELEMENT_I32 : DPM_ELEMENT_F32,
                              static_cast<int>(graph.values.size())});
  }
  if (has_value(object, "varies")) {
    to_choice(object, "varies", {"group"});
    value.varies = DPM_VARIES_GROUP;
  }
  graph.values.push_back(value);
}

dpm_activation to_activation(const Napi::Object& node) {
  constexpr dpm_activation kKinds[] = {DPM_ACTIVATION_MISH, DPM_ACTIVATION_GELU, DPM_ACTIVATION_RELU,
                                       DPM_ACTIVATION_QUICK_GELU, DPM_ACTIVATION_TANH};
  return kKinds[to_choice(node, "kind", {"mish", "gelu", "relu", "quick_gelu", "tanh"})];
}

graph::Attributes to_attributes(const Napi::Object& node, dpm_op op) {
  switch (op) {
    case DPM_OP_TIME_EMBEDDING:
      return graph::TimeEmbedding{to_int(node, "length"), to_float(node, "frequencyShift"),
                                  to_choice(node, "order", {"sin-cos", "cos-sin"}) == 1, to_bool(node, "logarithmic")};
    case DPM_OP_CONVOLUTION:
      return graph::Convolution{to_int(node, "kernel"), to_int(node, "stride"), to_int(node, "padBefore"),
                                to_int(node, "padAfter")};
    case DPM_OP_GROUP_NORM:
      return graph::GroupNorm{to_int(node, "groups"), to_float(node, "epsilon")};
    case DPM_OP_ATTENTION:
      return graph::Attention{to_int(node, "heads"), has_value(node, "causal") && to_bool(node, "causal")};
    case DPM_OP_LAYER_NORM:
      return graph::LayerNorm{to_float(node, "epsilon")};
    case DPM_OP_UPSAMPLE:
      return graph::Upsample{has_value(node, "height") ? to_int(node, "height") : 0,
                             has_value(node, "width") ? to_int(node, "width") : 0};
    case DPM_OP_AFFINE:
      return graph::Affine{to_float(node, "scale"), to_float(node, "shift")};
    case DPM_OP_FIR_DOWNSAMPLE:
      return graph::FirDownsample{to_int(node, "padding")};
    case DPM_OP_VIEW:
      return graph::View{to_int(node, "first"), to_int(node, "channels"), to_int(node, "height"),
                         to_int(node, "width")};
    case DPM_OP_ACTIVATION:
      return graph::Activation{to_activation(node)};
    case DPM_OP_DROPOUT:
      return graph::Dropout{to_float(node, "rate")};
    default:
      return graph::operation_of(op).attributes;
  }
}

graph::Node to_node(const Napi::Object& object) {
  const std::string name = to_text(object, "name");
  const std::string op = to_text(object, "op");
  const graph::Operation* operation = graph::find_operation(op);
  if (operation == nullptr) throw Error(ErrorCode::kArgument, name + ": there is no operation " + op);
  graph::Node node = graph::make_node(operation->op, name, to_indices(object, "inputs"));
  node.outputs = to_indices(object, "outputs");
  node.weights = to_indices(object, "weights");
  node.biases = to_indices(object, "biases");
  node.attributes = to_attributes(object, operation->op);
  return node;
}

/// Marks bound values that a node writes as outputs.
void find_outputs(graph::Graph& graph) {
  for (const graph::Node& node : graph.nodes) {
    for (const int output : node.outputs) {
      if (output < 0 || static_cast<std::size_t>(output) >= graph.values.size()) continue;
      const graph::Value& value = graph.values[static_cast<std::size_t>(output)];
      if (value.is_bound()) graph.bindings[static_cast<std::size_t>(value.binding)].direction = DPM_DIRECTION_OUTPUT;
    }
  }
}

graph::Graph to_graph(const Napi::Object& object) {
  graph::Graph graph;
  const Napi::Array values = to_array(object, "values");
  for (std::uint32_t i = 0; i < values.Length(); ++i) add_value(graph, object_at(values, i, "a value"));
  const Napi::Array nodes = to_array(object, "nodes");
  for (std::uint32_t i = 0; i < nodes.Length(); ++i) graph.nodes.push_back(to_node(object_at(nodes, i, "a node")));
  find_outputs(graph);
  return graph;
}

NetworkOptions to_network_options(const Napi::Object& object) {
  NetworkOptions options;
  options.classes = to_int(object, "classes");
  if (has_value(object, "derivative")) {
    constexpr Derivative kDerivatives[] = {Derivative::kPullback, Derivative::kPushforward, Derivative::kLabelScore,
                                           Derivative::kWeights};
    options.derivative =
        kDerivatives[to_choice(object, "derivative", {"pullback", "pushforward", "label-score", "weights"})];
  }
  if (has_value(object, "recompute")) {
    constexpr graph::Recompute kPolicies[] = {graph::Recompute::kNone, graph::Recompute::kNorms,
                                              graph::Recompute::kBlocks};
    options.recompute = kPolicies[to_choice(object, "recompute", {"none", "norms", "blocks"})];
  }
  if (has_value(object, "learned")) options.learned = to_indices(object, "learned");
  options.pulls_to_image = has_value(object, "pullsToImage") && to_bool(object, "pullsToImage");
  options.pulls_to_context = has_value(object, "pullsToContext") && to_bool(object, "pullsToContext");
  const Napi::Value divisor = object.Get("divisor");
  if (divisor.IsString()) {
    options.divides_by_time = to_choice(object, "divisor", {"time"}) == 0;
  } else {
    options.divisors = to_floats(divisor, "divisor");
  }
  return options;
}

}  // namespace

OpenNetwork to_graph_network(const Napi::Object& graph, const Napi::Object& options) {
  return [made = to_graph(graph), weights = to_weights(graph, "constants"), options = to_network_options(options)](
             std::function<void()> check_wanted, std::shared_ptr<KnownWeights> known) {
    OpenedNetwork opened{open_weights(weights, std::move(check_wanted), std::move(known)), made, options};
    for (const WeightLocation& location : weights.tensors) opened.graph.add_constant(opened.weights.get(location.name));
    return opened;
  };
}

}  // namespace dpm::addon
