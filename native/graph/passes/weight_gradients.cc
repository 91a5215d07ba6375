#include "graph/passes/weight_gradients.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"
#include "graph/passes/derivative_parts.h"
#include "graph/passes/derivatives.h"

namespace dpm::graph {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

/// Returns the constants of a node whose gradients there are.
std::vector<int> learned_by(const Node& node) {
  std::vector<int> constants;
  const auto take = [&](const std::vector<int>& some) {
    if (some.size() == 1) constants.push_back(some.front());
  };
  switch (node.op) {
    case DPM_OP_CONVOLUTION:
    case DPM_OP_GROUP_NORM:
    case DPM_OP_LAYER_NORM:
      take(node.weights);
      take(node.biases);
      return constants;
    case DPM_OP_EMBEDDING:
      take(node.weights);
      return constants;
    case DPM_OP_BIAS:
    case DPM_OP_POSITION:
      take(node.biases);
      return constants;
    default:
      return constants;
  }
}

std::vector<int> read_by(const Node& node) {
  std::vector<int> constants = node.weights;
  constants.insert(constants.end(), node.biases.begin(), node.biases.end());
  return constants;
}

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

std::vector<int> differentiable_constants(const Graph& graph) {
  const std::vector<bool> leads = lead_to_output(graph);
  std::vector<bool> learned(graph.constants.size(), false);
  std::vector<bool> fixed(graph.constants.size(), false);
  for (const Node& node : graph.nodes) {
    const std::vector<int> known = learned_by(node);
    for (const int constant : read_by(node)) {
      if (!contains(known, constant)) fixed[index(constant)] = true;
      if (leads[index(node.output())]) learned[index(constant)] = true;
    }
  }
  std::vector<int> result;
  for (std::size_t i = 0; i < learned.size(); ++i) {
    if (learned[i] && !fixed[i]) result.push_back(static_cast<int>(i));
  }
  return result;
}

WeightGradients::WeightGradients(Graph& graph, const std::vector<int>& constants)
    : graph_(graph), wanted_(graph.constants.size(), false) {
  std::set<std::string> names;
  for (const int constant : constants) {
    if (constant < 0 || index(constant) >= wanted_.size()) {
      throw Error(ErrorCode::kArgument, "there is no constant " + std::to_string(constant));
    }
    if (!names.insert(graph.constants[index(constant)].name).second) {
      throw Error(ErrorCode::kArgument, "two weights are called " + graph.constants[index(constant)].name);
    }
    wanted_[index(constant)] = true;
  }
  check_use();
}

void WeightGradients::check_use() const {
  for (const Node& node : graph_.nodes) {
    const std::vector<int> known = learned_by(node);
    for (const int constant : read_by(node)) {
      if (!is_wanted(constant) || contains(known, constant)) continue;
      throw Error(ErrorCode::kUnsupported, graph_.constants[index(constant)].name +
                                               ": this weight has no gradient, by the way that " + node.name +
                                               " reads it");
    }
  }
  const std::vector<int> reached = differentiable_constants(graph_);
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    if (!wanted_[i] || contains(reached, static_cast<int>(i))) continue;
    throw Error(ErrorCode::kUnsupported, graph_.constants[i].name + ": no output of the network depends on it");
  }
}

bool WeightGradients::wants(const Node& node) const {
  const std::vector<int> constants = read_by(node);
  return std::any_of(constants.begin(), constants.end(), [&](int constant) { return is_wanted(constant); });
}

void WeightGradients::add(const Node& node, int cotangent) {
  const std::string name = node.name + ".gradient.";
  switch (node.op) {
    case DPM_OP_CONVOLUTION:
      return convolution(node, cotangent);
    case DPM_OP_EMBEDDING:
      return table(node, cotangent);
    case DPM_OP_BIAS:
      return bind_sum(node.biases.front(), sum_of_pixels(graph_, cotangent, name), name);
    case DPM_OP_POSITION:
      return bind_sum(node.biases.front(), cotangent, name);
    default:
      return;
  }
}

void WeightGradients::convolution(const Node& node, int cotangent) {
  const std::string name = node.name + ".gradient.";
  if (is_wanted(node.weights.front())) {
    const Convolution& how = attributes<Convolution>(node);
    const Convolution plain{how.kernel, how.stride, how.pad_before, how.pad_after};
    bind(node.weights.front(),
         graph_.add(make_node(DPM_OP_CONVOLUTION_WEIGHTS, name + "weights", {node.input(0), cotangent}, plain)));
  }
  if (!node.biases.empty() && is_wanted(node.biases.front())) {
    bind_sum(node.biases.front(), sum_of_pixels(graph_, cotangent, name), name);
  }
}

void WeightGradients::table(const Node& node, int cotangent) {
  const auto rows = static_cast<int>(graph_.constants[index(node.weights.front())].dims.front());
  bind(node.weights.front(), graph_.add(make_node(DPM_OP_EMBEDDING_WEIGHTS, node.name + ".gradient.rows",
                                                  {node.input(0), cotangent}, EmbeddingWeights{rows})));
}

// The gradients are sums over rows of (1 + u) S1 and (1 + u) S2, u the scale.
void WeightGradients::add_norm(const Node& norm, int sums) {
  const std::string name = norm.name + ".gradient.";
  const int vector = norm.input(1);
  const int channels = graph_.values[index(sums)].channels / 2;
  const int scale = vector < 0 ? -1 : scale_alone(graph_, vector, name);
  for (const auto& [constant, first] : {std::pair{norm.weights.front(), 0}, std::pair{norm.biases.front(), channels}}) {
    if (!is_wanted(constant)) continue;
    int sum = graph_.add(make_node(DPM_OP_VIEW, name + "sums", {sums}, View{first, channels, 1, 1}));
    if (scale >= 0) sum = graph_.add(make_node(DPM_OP_SCALE_SHIFT, name + "scaled sums", {sum, scale}));
    bind_sum(constant, sum, name);
  }
}

void WeightGradients::add_layer_norm(const Node& norm, int products, int cotangent) {
  const std::string name = norm.name + ".gradient.";
  for (const auto& [constant, value] :
       {std::pair{norm.weights.front(), products}, std::pair{norm.biases.front(), cotangent}}) {
    if (is_wanted(constant)) bind_sum(constant, sum_of_pixels(graph_, value, name), name);
  }
}

void WeightGradients::bind_sum(int constant, int value, const std::string& name) {
  bind(constant, graph_.add(make_node(DPM_OP_ROW_SUM, name + "sum", {value})));
}

void WeightGradients::bind(int constant, int value) {
  graph_.bind_output(value, DPM_BINDING_GRADIENT + graph_.constants[index(constant)].name);
}

}  // namespace dpm::graph
