#include "graph/passes/derivative_parts.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "graph/passes/fusion.h"

namespace dpm::graph {
namespace {

/// Makes the constant [1, count] of ones.
int row_of_ones(Graph& graph, int count) {
  Constant ones;
  ones.name = "ones";
  ones.dims = {1, count};
  ones.bytes = static_cast<std::uint64_t>(count) * sizeof(float);
  ones.read = [count](void* to) { std::fill_n(static_cast<float*>(to), count, 1.0F); };
  return graph.add_constant(std::move(ones));
}

bool has_derivative(const Node& node) {
  switch (node.op) {
    case DPM_OP_ATTENTION:
      return node.input(3) < 0;
    case DPM_OP_UPSAMPLE:
      return attributes<Upsample>(node).height == 0 && attributes<Upsample>(node).width == 0;
    default:
      return true;
  }
}

}  // namespace

void refuse_form(const Node& node) {
  if (has_derivative(node)) return;
  throw Error(ErrorCode::kUnsupported, node.name + ": this form of the operation has no derivative");
}

void refuse_tangent(const Graph& graph, const Node& node) {
  refuse_form(node);
  if (node.op != DPM_OP_ATTENTION) return;
  const auto shape = [&](std::size_t input) { return graph.values[static_cast<std::size_t>(node.input(input))]; };
  if (!attributes<Attention>(node).causal && shape(0).same_shape(shape(1))) return;
  throw Error(ErrorCode::kUnsupported, node.name + ": this form of the operation has no derivative forwards");
}

void fold_norms(Graph& graph) {
  fuse_chains(graph, [](const Graph& /*graph*/, const Node& node) { return node.op == DPM_OP_GROUP_NORM; });
}

std::vector<bool> depend_on_image(const Graph& graph) {
  return depend_on(graph, {DPM_BINDING_IMAGE}, [](const Node& /*node*/) { return false; });
}

std::vector<bool> depend_on(const Graph& graph, const std::vector<const char*>& inputs,
                            const std::function<bool(const Node&)>& starts) {
  std::vector<bool> depends(graph.values.size(), false);
  for (const char* input : inputs) {
    const int binding = graph.find_binding(input);
    if (binding < 0) continue;
    depends[static_cast<std::size_t>(graph.bindings[static_cast<std::size_t>(binding)].value)] = true;
  }
  const auto is_one = [&](int value) { return value >= 0 && depends[static_cast<std::size_t>(value)]; };
  for (const Node& node : graph.nodes) {
    if (!starts(node) && !std::any_of(node.inputs.begin(), node.inputs.end(), is_one)) continue;
    for (const int output : node.outputs) depends[static_cast<std::size_t>(output)] = true;
  }
  return depends;
}

std::vector<bool> lead_to_output(const Graph& graph) {
  std::vector<bool> leads(graph.values.size(), false);
  for (const Binding& binding : graph.bindings) {
    if (binding.direction == DPM_DIRECTION_OUTPUT) leads[static_cast<std::size_t>(binding.value)] = true;
  }
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    const auto is_one = [&](int value) { return leads[static_cast<std::size_t>(value)]; };
    if (!std::any_of(node.outputs.begin(), node.outputs.end(), is_one)) continue;
    for (const int input : node.inputs) {
      if (input >= 0) leads[static_cast<std::size_t>(input)] = true;
    }
  }
  return leads;
}

int add_given(Graph& graph, const std::string& name, int channels, int height, int width) {
  const int given = graph.add_input(name, channels, height, width);
  return graph.add(make_node(DPM_OP_AFFINE, name, {given}));
}

int scale_alone(Graph& graph, int scale_and_shift, const std::string& name) {
  const int channels = graph.values[static_cast<std::size_t>(scale_and_shift)].channels / 2;
  const int scale = graph.add(make_node(DPM_OP_VIEW, name + "scale", {scale_and_shift}, View{0, channels, 1, 1}));
  const int zero = graph.add(make_node(DPM_OP_AFFINE, name + "zero", {scale}, Affine{0, 0}));
  return graph.add(make_node(DPM_OP_CONCAT, name + "scale and zero", {scale, zero}));
}

int sum_of_pixels(Graph& graph, int value, const std::string& name) {
  const Value of = graph.values[static_cast<std::size_t>(value)];
  if (of.height == 1 && of.width == 1) return value;
  Node sum = make_node(DPM_OP_SEPARABLE, name + "sum of pixels", {value});
  for (const int side : {of.height, of.width}) sum.weights.push_back(row_of_ones(graph, side));
  return graph.add(std::move(sum));
}

void bind_result(Graph& graph, int value, const std::string& name) {
  const auto writer = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return std::count(node.outputs.begin(), node.outputs.end(), value) > 0;
  });
  const bool may_write = writer != graph.nodes.end() && !graph.values[static_cast<std::size_t>(value)].is_bound() &&
                         (writer->op == DPM_OP_CONVOLUTION || writer->op == DPM_OP_AFFINE);
  if (!may_write) value = graph.add(make_node(DPM_OP_AFFINE, name, {value}));
  graph.bind_output(value, name);
}

}  // namespace dpm::graph
