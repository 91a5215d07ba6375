#include "graph/passes/derivative_parts.h"

#include <algorithm>

#include "graph/passes/fusion.h"

namespace dpm::graph {

void fold_norms(Graph& graph) {
  fuse_chains(graph, [](const Graph& /*graph*/, const Node& node) { return node.op == DPM_OP_GROUP_NORM; });
}

std::vector<bool> depend_on_image(const Graph& graph) {
  std::vector<bool> depends(graph.values.size(), false);
  const int image = graph.find_binding(DPM_BINDING_IMAGE);
  if (image < 0) return depends;
  depends[static_cast<std::size_t>(graph.bindings[static_cast<std::size_t>(image)].value)] = true;
  const auto is_one = [&](int value) { return value >= 0 && depends[static_cast<std::size_t>(value)]; };
  for (const Node& node : graph.nodes) {
    if (!std::any_of(node.inputs.begin(), node.inputs.end(), is_one)) continue;
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
    if (!leads[static_cast<std::size_t>(node.output())]) continue;
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
