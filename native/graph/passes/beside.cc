#include "graph/passes/beside.h"

#include <algorithm>
#include <utility>

namespace dpm::graph {
namespace {

/// Index of the node that adds `value` as its residual and is its only reader, -1 where there is none such.
int residual_reader(const Graph& graph, int value) {
  int reader = -1;
  int uses = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    uses += static_cast<int>(std::count(node.inputs.begin(), node.inputs.end(), value));
    if (node.op == DPM_OP_CONVOLUTION && node.input(2) == value) reader = static_cast<int>(i);
  }
  return uses == 1 ? reader : -1;
}

/// Returns whether no other value shares the value's storage.
bool is_alone(const Graph& graph, int value) {
  const Value& own = graph.values[static_cast<std::size_t>(value)];
  return !own.is_bound() && own.parent < 0 &&
         std::none_of(
             graph.values.begin(), graph.values.end(), [&](const Value& other) { return other.parent == value; });
}

bool may_be_beside(const Graph& graph, const Node& node, int index) {
  if (node.op != DPM_OP_CONVOLUTION || node.input(1) >= 0 || node.input(2) >= 0) return false;
  if (attributes<Convolution>(node).beside || !is_alone(graph, node.output())) return false;
  return residual_reader(graph, node.output()) > index;
}

/// Returns the first place in the order where everything in the storage of `node`'s inputs has been written.
int earliest(const Graph& graph, const Node& node, int index) {
  int place = 0;
  for (int i = 0; i < index; ++i) {
    for (const int output : graph.nodes[static_cast<std::size_t>(i)].outputs) {
      const bool feeds = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](int input) { return input >= 0 && graph.root(input) == graph.root(output); });
      if (feeds) place = i + 1;
    }
  }
  return place;
}

}  // namespace

void run_residuals_beside(Graph& graph, const Supports& supports) {
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(i)];
    if (!may_be_beside(graph, node, i)) continue;
    Node marked = node;
    attributes<Convolution>(marked).beside = true;
    if (!supports(graph, marked)) continue;
    const int place = earliest(graph, node, i);
    graph.nodes[static_cast<std::size_t>(i)] = std::move(marked);
    std::rotate(graph.nodes.begin() + place, graph.nodes.begin() + i, graph.nodes.begin() + i + 1);
  }
}

}  // namespace dpm::graph
