#include "graph/planner.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "core/error.h"

namespace dpm::graph {
namespace {

// Number of elements by which places are aligned: values start on a cache line for any batch.
constexpr std::uint64_t kAlignment = 16;

std::uint64_t padded(std::uint64_t elements) { return (elements + kAlignment - 1) / kAlignment * kAlignment; }

/// Free gaps of an arena that grows on demand: offset -> size.
class FreeList {
 public:
  std::uint64_t take(std::uint64_t size) {
    auto best = gaps_.end();
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      if (gap->second >= size && (best == gaps_.end() || gap->second < best->second)) best = gap;
    }
    if (best == gaps_.end()) return grow(size);
    const auto [offset, available] = *best;
    gaps_.erase(best);
    if (available > size) gaps_[offset + size] = available - size;
    return offset;
  }

  void give(std::uint64_t offset, std::uint64_t size) {
    auto gap = gaps_.emplace(offset, size).first;
    const auto next = std::next(gap);
    if (next != gaps_.end() && gap->first + gap->second == next->first) {
      gap->second += next->second;
      gaps_.erase(next);
    }
    if (gap == gaps_.begin()) return;
    const auto previous = std::prev(gap);
    if (previous->first + previous->second != gap->first) return;
    previous->second += gap->second;
    gaps_.erase(gap);
  }

  [[nodiscard]] std::uint64_t end() const { return end_; }

 private:
  /// Extends the arena; a gap at its end becomes part of the new place.
  std::uint64_t grow(std::uint64_t size) {
    std::uint64_t offset = end_;
    if (!gaps_.empty()) {
      const auto last = std::prev(gaps_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        gaps_.erase(last);
      }
    }
    end_ = offset + size;
    return offset;
  }

  std::map<std::uint64_t, std::uint64_t> gaps_;
  std::uint64_t end_ = 0;
};

/// Returns the input whose place the output may take: both are accessed element by element, the same element by the
/// same task.
int replaceable_input(const Node& node, bool residual_in_place) {
  switch (node.op) {
    case DPM_OP_GROUP_NORM:
    case DPM_OP_BIAS:
    case DPM_OP_POSITION:
    case DPM_OP_CHANNEL_ADD:
    case DPM_OP_SCALE_SHIFT:
    case DPM_OP_SILU:
    case DPM_OP_ACTIVATION:
    case DPM_OP_AFFINE:
    case DPM_OP_ADD:
    case DPM_OP_LAYER_NORM:
    case DPM_OP_DROPOUT:
    case DPM_OP_GEGLU_BACKWARD:
      return node.input(0);
    case DPM_OP_ACTIVATION_BACKWARD:
    case DPM_OP_LAYER_NORM_BACKWARD:
    case DPM_OP_GROUP_NORM_BACKWARD:
    case DPM_OP_GROUP_NORM_TANGENT:
      return node.input(1);
    case DPM_OP_CONVOLUTION:
      return residual_in_place ? node.input(2) : -1;
    default:
      return -1;
  }
}

/// Returns whether a device may still read the inputs of `node` when its result is read.
bool reads_late(const Node& node, const PlacementRules& rules) {
  if (node.op == DPM_OP_CONVOLUTION) return attributes<Convolution>(node).beside;
  return node.op == DPM_OP_GROUP_NORM && rules.norms_are_joined;
}

/// Returns whether the node after `node` is a norm of its result.
bool is_followed_by_its_norm(const Graph& graph, std::size_t node) {
  if (node + 1 >= graph.nodes.size() || graph.nodes[node].op != DPM_OP_CONVOLUTION) return false;
  const Node& next = graph.nodes[node + 1];
  return next.op == DPM_OP_GROUP_NORM && next.input(0) == graph.nodes[node].output();
}

std::vector<int> last_uses(const Graph& graph, const PlacementRules& rules) {
  std::vector<int> last(graph.values.size(), -1);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const int output : node.outputs) last[graph.root(output)] = static_cast<int>(i);
    const bool is_completed = rules.norms_complete_sums && is_followed_by_its_norm(graph, i);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      // Inputs other than the map are read when the sum is completed.
      const bool is_late = is_completed && k > 0;
      if (node.inputs[k] >= 0) last[graph.root(node.inputs[k])] = static_cast<int>(is_late ? i + 1 : i);
    }
  }
  // Walking backwards makes a late reader extend its inputs' lives after its own result's life is known.
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!reads_late(*node, rules)) continue;
    const int read = last[graph.root(node->output())];
    for (const int input : node->inputs) {
      if (input >= 0) last[graph.root(input)] = std::max(last[graph.root(input)], read);
    }
  }
  return last;
}

bool needs_place(const Value& value) { return !value.is_bound() && value.parent < 0; }

/// Offsets are multiplied by the batch: there is no place for what rows share.
void refuse_shared(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    for (const int output : node.outputs) {
      const Value& value = graph.values[static_cast<std::size_t>(output)];
      if (!value.is_shared() || value.is_bound()) continue;
      throw Error(ErrorCode::kUnsupported, node.name + ": its result, which rows share, is not bound");
    }
  }
}

/// Walks through the nodes once and gives each value its place.
class Placement {
 public:
  Placement(const Graph& graph, const PlacementRules& rules)
      : graph_(graph),
        rules_(rules),
        last_uses_(last_uses(graph, rules)),
        dying_(graph.nodes.size()),
        placed_(graph.values.size(), false) {
    plan_.offsets.assign(graph.values.size(), 0);
  }

  MemoryPlan run() {
    for (std::size_t value = 0; value < last_uses_.size(); ++value) {
      const int last = last_uses_[value];
      if (last >= 0 && needs_place(graph_.values[value])) {
        dying_[static_cast<std::size_t>(last)].push_back(static_cast<int>(value));
      }
    }
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) place(graph_.nodes[i], static_cast<int>(i));
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      if (graph_.values[i].parent >= 0) plan_.offsets[i] = plan_.offsets[graph_.root(static_cast<int>(i))];
    }
    plan_.elements = arena_.end();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] bool dies_at(int value, int node) const {
    return value >= 0 && needs_place(graph_.values[value]) && last_uses_[value] == node;
  }

  /// Returns the input whose place the result takes, or -1.
  [[nodiscard]] int replaced_input(const Node& node, int index) const {
    const int candidate = replaceable_input(node, rules_.residual_in_place);
    const auto lies_there = [&](int input) { return input >= 0 && graph_.root(input) == candidate; };
    const bool fits = dies_at(candidate, index) && needs_place(graph_.values[node.output()]) &&
                      graph_.values[candidate].same_shape(graph_.values[node.output()]) &&
                      std::count_if(node.inputs.begin(), node.inputs.end(), lies_there) == 1;
    return fits ? candidate : -1;
  }

  void place(const Node& node, int index) {
    const int replaced = replaced_input(node, index);
    if (replaced >= 0) {
      plan_.offsets[node.output()] = plan_.offsets[replaced];
      placed_[static_cast<std::size_t>(node.output())] = true;
    }
    for (const int output : node.outputs) {
      const int root = graph_.root(output);
      // The first part of a value that is written in parts takes the place of all.
      if (graph_.values[root].is_bound() || placed_[static_cast<std::size_t>(root)]) continue;
      plan_.offsets[root] = arena_.take(padded(graph_.values[root].elements()));
      placed_[static_cast<std::size_t>(root)] = true;
    }
    free_what_dies(index, replaced);
  }

  void free_what_dies(int index, int replaced) {
    for (const int value : dying_[static_cast<std::size_t>(index)]) {
      if (value != replaced) arena_.give(plan_.offsets[value], padded(graph_.values[value].elements()));
    }
  }

  const Graph& graph_;
  PlacementRules rules_;
  std::vector<int> last_uses_;
  /// Values that each node uses last.
  std::vector<std::vector<int>> dying_;
  std::vector<bool> placed_;
  FreeList arena_;
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Graph& graph, const PlacementRules& rules) {
  refuse_shared(graph);
  return Placement(graph, rules).run();
}

}  // namespace dpm::graph
