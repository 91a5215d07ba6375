#include "graph/passes/fusion.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "graph/passes/beside.h"

namespace dpm::graph {
namespace {

/// Returns the convolution of `node` if nothing but bias and vector has been folded into it; null for all others.
const Convolution* plain_convolution(const Node& node) {
  if (node.op != DPM_OP_CONVOLUTION || node.input(2) >= 0) return nullptr;
  const Convolution& convolution = attributes<Convolution>(node);
  return convolution.silu || convolution.scale != 1.0F ? nullptr : &convolution;
}

std::optional<Node> fold_sum(const Graph& graph, const Node& producer, const Node& consumer) {
  if (plain_convolution(producer) == nullptr) return std::nullopt;
  const int other = consumer.input(0) == producer.output() ? consumer.input(1) : consumer.input(0);
  if (other == producer.output() || graph.values[other].is_bound()) return std::nullopt;
  Node fused = producer;
  fused.set_input(2, other);
  return fused;
}

std::optional<Node> fold_into_convolution(const Graph& graph, const Node& producer, const Node& consumer) {
  const Convolution& convolution = attributes<Convolution>(producer);
  // The convolution may be either operand of a sum, but has to be the map of every other consumer.
  if (convolution.silu || (consumer.op != DPM_OP_ADD && consumer.input(0) != producer.output())) return std::nullopt;
  const bool plain = plain_convolution(producer) != nullptr;
  Node fused = producer;
  switch (consumer.op) {
    case DPM_OP_BIAS:
      if (!plain || !producer.biases.empty() || producer.weights.size() != 1) return std::nullopt;
      fused.biases = consumer.biases;
      return fused;
    case DPM_OP_CHANNEL_ADD:
      if (!plain || producer.input(1) >= 0) return std::nullopt;
      fused.set_input(1, consumer.input(1));
      return fused;
    case DPM_OP_ADD:
      return fold_sum(graph, producer, consumer);
    case DPM_OP_AFFINE:
      if (attributes<Affine>(consumer).shift != 0.0F || convolution.scale != 1.0F) return std::nullopt;
      attributes<Convolution>(fused).scale = attributes<Affine>(consumer).scale;
      return fused;
    case DPM_OP_SILU:
      attributes<Convolution>(fused).silu = true;
      return fused;
    default:
      return std::nullopt;
  }
}

std::optional<Node> fold_into_norm(const Node& producer, const Node& consumer) {
  Node fused = producer;
  if (attributes<GroupNorm>(producer).silu) return std::nullopt;
  if (consumer.op == DPM_OP_SCALE_SHIFT && producer.input(1) < 0) {
    fused.set_input(1, consumer.input(1));
    return fused;
  }
  if (consumer.op == DPM_OP_SILU) {
    attributes<GroupNorm>(fused).silu = true;
    return fused;
  }
  return std::nullopt;
}

bool is_enlarged(const Convolution& convolution) { return convolution.upsample || convolution.zero_upsample; }

/// Returns whether an upsampling states its size, even if that is twice the map's.
bool is_resized(const Node& node) {
  if (node.op != DPM_OP_UPSAMPLE) return false;
  const Upsample& to = attributes<Upsample>(node);
  return to.height > 0 || to.width > 0;
}

std::optional<Node> fold_enlargement(const Node& producer, const Node& consumer) {
  if (is_enlarged(attributes<Convolution>(consumer)) || is_resized(producer)) return std::nullopt;
  Node fused = consumer;
  fused.set_input(0, producer.input(0));
  Convolution& how = attributes<Convolution>(fused);
  (producer.op == DPM_OP_UPSAMPLE ? how.upsample : how.zero_upsample) = true;
  return fused;
}

std::optional<Node> fold(const Graph& graph, const Node& producer, const Node& consumer) {
  const bool enlarges = producer.op == DPM_OP_UPSAMPLE || producer.op == DPM_OP_ZERO_UPSAMPLE;
  if (enlarges && consumer.op == DPM_OP_CONVOLUTION && consumer.input(0) == producer.output()) {
    return fold_enlargement(producer, consumer);
  }
  if (producer.op == DPM_OP_CONVOLUTION) return fold_into_convolution(graph, producer, consumer);
  if (producer.op == DPM_OP_GROUP_NORM && consumer.input(0) == producer.output()) {
    return fold_into_norm(producer, consumer);
  }
  return std::nullopt;
}

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const int input : node.inputs) {
      if (input >= 0) ++uses[input];
    }
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].is_bound()) ++uses[i];
    if (graph.values[i].parent >= 0) ++uses[graph.values[i].parent];
  }
  return uses;
}

/// Index of the node that writes each value, -1 for inputs.
std::vector<int> find_writers(const Graph& graph) {
  std::vector<int> writers(graph.values.size(), -1);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const int output : graph.nodes[i].outputs) writers[output] = static_cast<int>(i);
  }
  return writers;
}

/// Folds one producer into node `index`; the latest producer first, so that the residual of a sum is ready.
bool fold_one(Graph& graph, int index, const std::vector<int>& uses, const std::vector<int>& writers,
              const Supports& supports) {
  const Node& consumer = graph.nodes[index];
  std::vector<int> producers;
  for (const int input : consumer.inputs) {
    if (input >= 0 && writers[input] >= 0 && uses[input] == 1) producers.push_back(writers[input]);
  }
  std::sort(producers.rbegin(), producers.rend());
  for (const int producer : producers) {
    std::optional<Node> fused = fold(graph, graph.nodes[producer], consumer);
    if (!fused) continue;
    fused->outputs = consumer.outputs;
    if (!supports(graph, *fused)) continue;
    graph.nodes[index] = std::move(*fused);
    graph.nodes.erase(graph.nodes.begin() + producer);
    return true;
  }
  return false;
}

/// The input of a product, whether a bias is added to it, and whether its weights move. Siblings have the same.
using Sibling = std::tuple<int, bool, bool>;

/// Returns what `node` has in common with its siblings, if it is a product that could be merged with them.
std::optional<Sibling> sibling_of(const Graph& graph, const Node& node) {
  const Convolution* convolution = plain_convolution(node);
  const bool is_product = convolution != nullptr && convolution->kernel == 1 && convolution->stride == 1 &&
                          !is_enlarged(*convolution) && node.input(1) < 0 && !graph.values[node.output()].is_bound();
  const bool has_bias = !node.biases.empty();
  if (!is_product || (has_bias && node.biases.size() != node.weights.size())) return std::nullopt;
  return Sibling{node.input(0), has_bias, graph.constants[static_cast<std::size_t>(node.weights.front())].moves()};
}

/// Replaces all of `members` by one node, whose new value has their outputs as channel ranges.
void merge(Graph& graph, const std::vector<int>& members, const Supports& supports) {
  Node merged = graph.nodes[members.front()];
  for (std::size_t i = 1; i < members.size(); ++i) {
    const Node& other = graph.nodes[members[i]];
    merged.weights.insert(merged.weights.end(), other.weights.begin(), other.weights.end());
    merged.biases.insert(merged.biases.end(), other.biases.begin(), other.biases.end());
  }
  merged.name += " (+" + std::to_string(members.size() - 1) + ")";
  merged.outputs = {static_cast<int>(graph.values.size())};
  graph.values.push_back(infer_shapes(graph, merged).front());
  if (!supports(graph, merged)) {
    graph.values.pop_back();
    return;
  }
  int offset = 0;
  for (const int member : members) {
    Value& part = graph.values[graph.nodes[member].output()];
    part.parent = merged.output();
    part.channel_offset = offset;
    offset += part.channels;
  }
  graph.nodes[members.front()] = std::move(merged);
  for (auto member = members.rbegin(); *member != members.front(); ++member) {
    graph.nodes.erase(graph.nodes.begin() + *member);
  }
}

/// Returns whether the device runs the nodes that read or write one of `parts`.
template <typename Parts>
bool parts_are_supported(const Graph& graph, const Parts& parts, const Supports& supports) {
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    const bool concerned = std::any_of(parts.begin(), parts.end(), [&](int part) {
      return std::count(node.outputs.begin(), node.outputs.end(), part) > 0 ||
             std::count(node.inputs.begin(), node.inputs.end(), part) > 0;
    });
    return !concerned || supports(graph, node);
  });
}

/// Returns `graph` with the parts of concatenation `index` written in place, where the device can do that.
std::optional<Graph> without_concatenation(const Graph& graph, int index, const Supports& supports) {
  const Node& concatenation = graph.nodes[index];
  const std::array<int, 2> parts = {concatenation.input(0), concatenation.input(1)};
  const int whole = concatenation.output();
  const std::vector<int> writers = find_writers(graph);
  const auto owns_place = [&](int value) {
    return !graph.values[value].is_bound() && graph.values[value].parent < 0 && writers[value] >= 0;
  };
  if (parts[0] == parts[1] || !owns_place(parts[0]) || !owns_place(parts[1]) || !owns_place(whole)) return std::nullopt;
  Graph result = graph;
  int offset = 0;
  for (const int part : parts) {
    result.values[part].parent = whole;
    result.values[part].channel_offset = offset;
    offset += result.values[part].channels;
  }
  result.nodes.erase(result.nodes.begin() + index);
  if (!parts_are_supported(result, parts, supports)) return std::nullopt;
  return result;
}

/// Returns `graph` with the result of view `index` read in place, where the device can do that.
std::optional<Graph> without_view(const Graph& graph, int index, const Supports& supports) {
  const Node& node = graph.nodes[index];
  const Value& from = graph.values[node.input(0)];
  const Value& part = graph.values[node.output()];
  // A view without readers is left alone: there would be no node to ask the device about.
  if (count_uses(graph)[node.output()] == 0) return std::nullopt;
  const bool is_range = from.height == part.height && from.width == part.width && part.parent < 0 && !part.is_bound();
  if (!is_range || graph.values[graph.root(node.input(0))].is_bound()) return std::nullopt;
  Graph result = graph;
  result.values[node.output()].parent = node.input(0);
  result.values[node.output()].channel_offset = attributes<View>(node).first;
  result.nodes.erase(result.nodes.begin() + index);
  if (!parts_are_supported(result, std::array{node.output()}, supports)) return std::nullopt;
  return result;
}

/// Replaces the graph by the result of `without` for each node of operation `op`.
template <typename Without>
void remove_nodes(Graph& graph, dpm_op op, const Without& without) {
  for (std::size_t i = 0; i < graph.nodes.size();) {
    std::optional<Graph> smaller;
    if (graph.nodes[i].op == op) smaller = without(graph, static_cast<int>(i));
    if (smaller) {
      graph = std::move(*smaller);
    } else {
      ++i;
    }
  }
}

/// Calls `use(norm, convolution)` for every norm that is the only reader of a plain convolution.
template <typename Use>
void for_norms_of_convolutions(Graph& graph, const Use& use) {
  const std::vector<int> uses = count_uses(graph);
  const std::vector<int> writers = find_writers(graph);
  for (Node& norm : graph.nodes) {
    if (norm.op != DPM_OP_GROUP_NORM || uses[norm.input(0)] != 1 || writers[norm.input(0)] < 0) continue;
    Node& producer = graph.nodes[writers[norm.input(0)]];
    if (plain_convolution(producer) != nullptr) use(norm, producer);
  }
}

}  // namespace

void fuse_chains(Graph& graph, const Supports& supports) {
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<int> uses = count_uses(graph);
    const std::vector<int> writers = find_writers(graph);
    for (int i = 0; i < static_cast<int>(graph.nodes.size()) && !changed; ++i) {
      changed = fold_one(graph, i, uses, writers, supports);
    }
  }
}

void merge_sibling_products(Graph& graph, const Supports& supports) {
  std::map<Sibling, int> products;
  for (const Node& node : graph.nodes) {
    if (const auto sibling = sibling_of(graph, node)) ++products[*sibling];
  }
  for (const auto& [sibling, count] : products) {
    if (count < 2) continue;
    std::vector<int> members;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      if (sibling_of(graph, graph.nodes[i]) == sibling) members.push_back(static_cast<int>(i));
    }
    merge(graph, members, supports);
  }
}

void move_vectors_to_norms(Graph& graph, const Supports& supports) {
  for_norms_of_convolutions(graph, [&](Node& norm, Node& producer) {
    if (norm.input(2) >= 0 || producer.input(1) < 0) return;
    Node adding = norm;
    Node bare = producer;
    adding.set_input(2, producer.input(1));
    bare.set_input(1, -1);
    if (!supports(graph, adding) || !supports(graph, bare)) return;
    norm = std::move(adding);
    producer = std::move(bare);
  });
}

void move_biases_to_norms(Graph& graph, const Supports& supports) {
  for_norms_of_convolutions(graph, [&](Node& norm, Node& producer) {
    // The bias stays where the convolution has a vector, which is added after the bias.
    if (norm.biases.size() != 1 || producer.biases.size() != 1 || producer.input(1) >= 0) return;
    Node adding = norm;
    Node bare = producer;
    adding.biases.push_back(producer.biases.front());
    bare.biases.clear();
    if (!supports(graph, adding) || !supports(graph, bare)) return;
    norm = std::move(adding);
    producer = std::move(bare);
  });
}

void remove_concatenations(Graph& graph, const Supports& supports) {
  remove_nodes(graph, DPM_OP_CONCAT,
               [&](const Graph& whole, int index) { return without_concatenation(whole, index, supports); });
}

void remove_views(Graph& graph, const Supports& supports) {
  remove_nodes(graph, DPM_OP_VIEW, [&](const Graph& whole, int index) { return without_view(whole, index, supports); });
}

void fuse(Graph& graph, const Supports& supports) {
  // Biases are folded first, so that siblings have theirs when they are merged; other nodes are folded after, so that a
  // merged product keeps no epilogue of one part.
  const Supports biases_only = [&](const Graph& g, const Node& node) {
    const Convolution* convolution = plain_convolution(node);
    return convolution != nullptr && !is_enlarged(*convolution) && node.input(1) < 0 && supports(g, node);
  };
  fuse_chains(graph, biases_only);
  merge_sibling_products(graph, supports);
  fuse_chains(graph, supports);
  move_vectors_to_norms(graph, supports);
  move_biases_to_norms(graph, supports);
  remove_concatenations(graph, supports);
  remove_views(graph, supports);
  run_residuals_beside(graph, supports);
}

}  // namespace dpm::graph
