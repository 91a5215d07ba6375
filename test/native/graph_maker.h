// A maker of graphs, node by node, with random weights.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "random_values.h"

namespace dpm::test {

/// Returns a convolution that keeps the map's size.
inline graph::Convolution same_size(int kernel) { return {kernel, 1, kernel / 2, kernel / 2}; }

class GraphMaker {
 public:
  /// Makes an empty graph; `random` owns the weights and has to outlive the graphs.
  explicit GraphMaker(RandomValues& random) : random_(random) {}

  [[nodiscard]] const graph::Graph& graph() const { return graph_; }
  [[nodiscard]] graph::Graph& graph() { return graph_; }
  [[nodiscard]] int channels(int value) const { return graph_.values[static_cast<std::size_t>(value)].channels; }

  int image(int channels, int height, int width) {
    return graph_.add_input(DPM_BINDING_IMAGE, channels, height, width);
  }
  int time() { return graph_.add_input(DPM_BINDING_TIME, 1, 1, 1); }
  int label() { return graph_.add_input(DPM_BINDING_LABEL, 1, 1, 1); }

  int constant(std::vector<std::int64_t> dims, float scale = 1, float shift = 0) {
    graph::Constant made = random_.constant(std::move(dims), scale, shift);
    made.name += " " + std::to_string(graph_.constants.size());
    return graph_.add_constant(std::move(made));
  }

  int add(graph::Node node) { return graph_.add(std::move(node)); }
  int add(dpm_op op, std::vector<int> inputs) { return add(graph::make_node(op, next_name(), std::move(inputs))); }
  int add(dpm_op op, std::vector<int> inputs, graph::Attributes attributes) {
    return add(graph::make_node(op, next_name(), std::move(inputs), attributes));
  }

  int affine(int input, float scale, float shift = 0) {
    return add(DPM_OP_AFFINE, {input}, graph::Affine{scale, shift});
  }
  int activation(int input, dpm_activation kind) { return add(DPM_OP_ACTIVATION, {input}, graph::Activation{kind}); }
  int silu(int input) { return add(DPM_OP_SILU, {input}); }
  int sum(int left, int right) { return add(DPM_OP_ADD, {left, right}); }

  /// Adds a convolution with weights of deviation `scale`, or of a deviation that keeps the size of the map's numbers.
  int convolution(int input, int outputs, graph::Convolution how, float scale = 0) {
    const int inputs = channels(input);
    const auto taps = static_cast<float>(inputs * how.kernel * how.kernel);
    graph::Node node = graph::make_node(DPM_OP_CONVOLUTION, next_name(), {input}, how);
    node.weights = {constant({outputs, inputs, how.kernel, how.kernel}, scale > 0 ? scale : 1 / std::sqrt(taps))};
    return add(std::move(node));
  }
  int bias(int input) {
    graph::Node node = graph::make_node(DPM_OP_BIAS, next_name(), {input});
    node.biases = {constant({channels(input)})};
    return add(std::move(node));
  }
  /// Adds a random matrix on either axis.
  int separable(int input, int height, int width) {
    const graph::Value in = graph_.values[static_cast<std::size_t>(input)];
    const auto matrix = [&](int to, int from) { return constant({to, from}, 1 / std::sqrt(static_cast<float>(from))); };
    graph::Node node = graph::make_node(DPM_OP_SEPARABLE, next_name(), {input});
    node.weights = {matrix(height, in.height), matrix(width, in.width)};
    return add(std::move(node));
  }
  int position(int input) {
    const graph::Value in = graph_.values[static_cast<std::size_t>(input)];
    graph::Node node = graph::make_node(DPM_OP_POSITION, next_name(), {input});
    node.biases = {constant({in.channels, in.height * in.width})};
    return add(std::move(node));
  }
  /// Adds a view of all channels of a map, with another height and width.
  int view(int input, int height, int width) {
    return add(DPM_OP_VIEW, {input}, graph::View{0, channels(input), height, width});
  }
  int norm(int input, int groups, float epsilon = 1e-5F) {
    graph::Node node = graph::make_node(DPM_OP_GROUP_NORM, next_name(), {input}, graph::GroupNorm{groups, epsilon});
    node.weights = {constant({channels(input)}, 0.3F, 1)};
    node.biases = {constant({channels(input)}, 0.3F)};
    return add(std::move(node));
  }
  /// Adds a vector that depends on the time alone.
  int time_vector(int channels) {
    const int time_embedding = add(DPM_OP_TIME_EMBEDDING, {time()}, graph::TimeEmbedding{8});
    return convolution(time_embedding, channels, {});
  }
  /// Adds a row of a random table.
  int row(int input, int rows, int channels) {
    graph::Node node = graph::make_node(DPM_OP_EMBEDDING, next_name(), {input});
    node.weights = {constant({rows, channels})};
    return add(std::move(node));
  }
  /// Rows of a table of whole numbers from 0 to below `below`.
  int whole_numbers(int input, int rows, int channels, int below) {
    graph::Node node = graph::make_node(DPM_OP_EMBEDDING, next_name(), {input});
    node.weights = {graph_.add_constant(random_.whole_numbers({rows, channels}, below))};
    return add(std::move(node));
  }
  int attention(int query, int key, int value, int heads) {
    return add(DPM_OP_ATTENTION, {query, key, value}, graph::Attention{heads});
  }
  int layer_norm(int input, float epsilon = 1e-5F) {
    graph::Node node = graph::make_node(DPM_OP_LAYER_NORM, next_name(), {input}, graph::LayerNorm{epsilon});
    node.weights = {constant({channels(input)}, 0.3F, 1)};
    node.biases = {constant({channels(input)}, 0.3F)};
    return add(std::move(node));
  }

  /// Copies a value, so that the following nodes read and write a map of the network's own. The shift keeps the copy
  /// from being fused away.
  int enter(int value) { return affine(value, 1, 0.25F); }
  void output(int value) { graph_.bind_output(value, DPM_BINDING_OUTPUT); }
  void head(int value) { graph_.bind_output(value, DPM_BINDING_HEAD); }
  /// Makes a copy of `value` the output.
  void leave(int value) { output(enter(value)); }

 private:
  [[nodiscard]] std::string next_name() const { return "node " + std::to_string(graph_.nodes.size()); }

  RandomValues& random_;
  graph::Graph graph_;
};

}  // namespace dpm::test
