#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

bool is_cheap(dpm_op op) {
  return op == DPM_OP_GROUP_NORM || op == DPM_OP_SILU || op == DPM_OP_ACTIVATION || op == DPM_OP_VIEW ||
         op == DPM_OP_DROPOUT;
}

/// Moves the computation of values to the nodes behind the network that read them.
class Again {
 public:
  Again(Graph& graph, std::size_t forward, Recompute recompute)
      : graph_(graph),
        recompute_(recompute),
        behind_(graph.nodes.begin() + static_cast<std::ptrdiff_t>(forward), graph.nodes.end()),
        depends_(depend_on_image(graph)),
        writers_(graph.values.size(), -1),
        readers_(graph.values.size(), 0) {
    graph_.nodes.resize(forward);
    for (std::size_t i = 0; i < forward; ++i) {
      for (const int output : graph_.nodes[i].outputs) writers_[index(output)] = static_cast<int>(i);
      for (const int input : graph_.nodes[i].inputs) {
        if (input >= 0) ++readers_[index(input)];
      }
    }
  }

  void run() {
    for (Node& node : behind_) {
      for (int& input : node.inputs) {
        if (input >= 0) input = again(input);
      }
      graph_.nodes.push_back(std::move(node));
    }
  }

 private:
  /// The inside of blocks is computed again: a block's input is read by its first norm and by its shortcut, its output
  /// is a sum; both are kept, and so is what skips read. The norm before attention is read three times but is computed
  /// from the block's input.
  [[nodiscard]] bool stays(int value) const {
    const std::size_t i = index(value);
    if (i >= writers_.size() || writers_[i] < 0 || !depends_[i] || graph_.values[i].is_bound()) return true;
    const dpm_op op = graph_.nodes[index(writers_[i])].op;
    if (recompute_ == Recompute::kNorms) return !is_cheap(op);
    return op == DPM_OP_ADD || op == DPM_OP_CONCAT || (readers_[i] > 1 && op != DPM_OP_GROUP_NORM);
  }

  /// Returns the value itself, or a copy of it computed again behind the last node so far.
  int again(int value) {
    if (stays(value)) return value;
    const auto known = again_.find(value);
    if (known != again_.end()) return known->second;
    Node node = graph_.nodes[index(writers_[index(value)])];
    node.name += ".again";
    for (int& input : node.inputs) {
      if (input >= 0) input = again(input);
    }
    return again_[value] = graph_.add(std::move(node));
  }

  Graph& graph_;
  Recompute recompute_;
  std::vector<Node> behind_;
  std::vector<bool> depends_;
  /// Writers of the network's own values, and numbers of their readers.
  std::vector<int> writers_;
  std::vector<int> readers_;
  std::map<int, int> again_;
};

}  // namespace

void compute_again(Graph& graph, std::size_t forward, Recompute recompute) { Again(graph, forward, recompute).run(); }

}  // namespace dpm::graph
