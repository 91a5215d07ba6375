#include "devices/cpu/layers/deferred_norm.h"

#include <algorithm>
#include <cstdint>

#include "backend/bindings.h"
#include "backend/node.h"

namespace dpm::cpu {
namespace {

int root_of(const dpm_graph& graph, int value) {
  while (graph.values[value].parent >= 0) value = graph.values[value].parent;
  return value;
}

/// Lists the nodes that read `value` or a part of it, in order.
std::vector<int> readers_of(const dpm_graph& graph, int value) {
  std::vector<int> readers;
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    if (std::any_of(node.inputs, node.inputs + node.input_count,
                    [&](int input) { return input >= 0 && root_of(graph, input) == value; })) {
      readers.push_back(static_cast<int>(i));
    }
  }
  return readers;
}

bool is_norm(const dpm_graph& graph, int node) { return graph.nodes[node].op == DPM_OP_GROUP_NORM; }

/// Returns whether `reader` reads the norm's result only as its map, and its own result cannot take the place of the
/// norm's input, as it may take that of a residual.
bool can_apply(const dpm_graph& graph, const dpm_node& norm, const dpm_node& reader) {
  if (reader.op != DPM_OP_CONVOLUTION || reader.inputs[0] != output_of(norm)) return false;
  const int input = root_of(graph, norm.inputs[0]);
  return std::none_of(reader.inputs + 1, reader.inputs + reader.input_count, [&](int operand) {
    return operand >= 0 && (root_of(graph, operand) == output_of(norm) || root_of(graph, operand) == input);
  });
}

}  // namespace

std::vector<DeferredNorm> find_deferrable_norms(const dpm_graph& graph) {
  std::vector<DeferredNorm> found;
  for (int i = 0; i < static_cast<int>(graph.node_count); ++i) {
    const dpm_node& norm = graph.nodes[i];
    if (!is_norm(graph, i) || is_bound(graph.values[output_of(norm)])) continue;
    const std::vector<int> readers = readers_of(graph, output_of(norm));
    if (readers.size() != 1 || !can_apply(graph, norm, graph.nodes[readers[0]])) continue;
    const int reader = readers[0];
    // The coefficients of only one deferred norm are kept at a time, so no other norm may come in between.
    bool interrupted = false;
    for (int between = i + 1; between < reader; ++between) interrupted = interrupted || is_norm(graph, between);
    const int last = readers_of(graph, root_of(graph, norm.inputs[0])).back();
    const bool lives = last >= reader;
    if (interrupted || (!lives && last != i)) continue;
    found.push_back({norm.inputs[0], output_of(norm), reader, group_norm_of(norm).silu != 0, lives});
  }
  return found;
}

}  // namespace dpm::cpu
