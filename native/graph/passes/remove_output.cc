#include "graph/passes/remove_output.h"

#include <algorithm>
#include <vector>

#include "graph/passes/derivative_parts.h"

namespace dpm::graph {

void remove_output(Graph& graph, const char* name) {
  const int binding = graph.find_binding(name);
  if (binding < 0) return;
  graph.bindings.erase(graph.bindings.begin() + binding);
  for (Value& value : graph.values) {
    if (value.binding == binding) value.binding = -1;
    if (value.binding > binding) --value.binding;
  }
  const std::vector<bool> leads = lead_to_output(graph);
  std::erase_if(graph.nodes, [&](const Node& node) {
    return std::ranges::none_of(node.outputs, [&](int output) { return leads[static_cast<std::size_t>(output)]; });
  });
}

}  // namespace dpm::graph
