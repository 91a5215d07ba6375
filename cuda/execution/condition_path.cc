#include "cuda/execution/condition_path.h"

#include <algorithm>

#include "backend/bindings.h"

namespace dpm::cuda {
namespace {

/// Removes layers whose results share storage with those of other layers.
void keep_apart(const dpm_graph& graph, const std::vector<ValueInfo>& values, std::vector<bool>* is_layer) {
  std::vector<bool> is_shared(values.size(), false);
  const auto root_of = [&](std::uint32_t node) {
    return static_cast<std::size_t>(values[static_cast<std::size_t>(output_of(graph.nodes[node]))].root);
  };
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    if (!(*is_layer)[i]) is_shared[root_of(i)] = true;
  }
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    if (is_shared[root_of(i)]) (*is_layer)[i] = false;
  }
}

void insert(std::vector<int>* values, int value) {
  if (std::find(values->begin(), values->end(), value) == values->end()) values->push_back(value);
}

}  // namespace

ConditionPath::ConditionPath(const dpm_graph& graph, const std::vector<ValueInfo>& values)
    : is_layer(graph.node_count, true) {
  const auto root_of = [&](int value) {
    return static_cast<std::size_t>(values[static_cast<std::size_t>(value)].root);
  };
  // The loop repeats, because removing a layer can remove those that read its result.
  for (std::vector<bool> before; before != is_layer;) {
    before = is_layer;
    std::vector<bool> is_condition(graph.value_count, false);
    for (std::uint32_t i = 0; i < graph.value_count; ++i) is_condition[i] = dpm::is_condition(graph, graph.values[i]);
    for (std::uint32_t i = 0; i < graph.node_count; ++i) {
      const dpm_node& node = graph.nodes[i];
      const auto holds = [&](int value) { return value < 0 || is_condition[root_of(value)]; };
      is_layer[i] = is_layer[i] && !is_bound(graph.values[output_of(node)]) &&
                    std::all_of(node.inputs, node.inputs + node.input_count, holds);
      if (is_layer[i]) is_condition[root_of(output_of(node))] = true;
    }
    keep_apart(graph, values, &is_layer);
  }
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    if (is_layer[i]) insert(&written, values[static_cast<std::size_t>(output_of(node))].root);
  }
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    if (is_layer[i]) continue;
    const dpm_node& node = graph.nodes[i];
    for (std::uint32_t j = 0; j < node.input_count; ++j) {
      const int root = node.inputs[j] < 0 ? -1 : values[static_cast<std::size_t>(node.inputs[j])].root;
      if (std::find(written.begin(), written.end(), root) != written.end()) insert(&read, root);
    }
  }
}

}  // namespace dpm::cuda
