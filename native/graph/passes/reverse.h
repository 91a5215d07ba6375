// Cotangents of a graph's values, which every derivative in reverse shares.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/derivatives.h"
#include "graph/passes/weight_gradients.h"

namespace dpm::graph {

/// Appends the cotangents of a graph's values, from its last node to its first.
class Reverse {
 public:
  /// @param depends For every value, whether its cotangent is wanted.
  /// @param weights Receives the cotangents of nodes whose constants have a wanted gradient; null: none has.
  Reverse(Graph& graph, std::vector<bool> depends, WeightGradients* weights = nullptr);

  /// Starts from cotangents of the outputs, which are inputs.
  void pull_back_given();
  /// Starts from `scale` times the cotangent of ln p(label), with logits as the output. Throws Error(kUnsupported) for
  /// an output that is a map, and for a graph that takes labels or has a second output.
  void pull_back_label(float scale = 1);
  /// Starts from the cotangent of a square loss, and binds it. Throws Error(kUnsupported) for one of the output where
  /// there is a second one, and for one of a second output that is not there.
  void pull_back_square(Seed seed);
  /// Binds the cotangent of an input. Throws Error(kUnsupported) where no output depends on it.
  void bind_input(const char* input, const char* cotangent);

 private:
  [[nodiscard]] bool depends(int value) const { return value >= 0 && depends_[static_cast<std::size_t>(value)]; }
  [[nodiscard]] const Value& shape(int value) const { return graph_.values[static_cast<std::size_t>(value)]; }

  void seed(const char* output, const char* name);
  void pull_back_all();
  void pull_back(const Node& node, int d);

  /// Adds a term to the cotangent of a value.
  void give(int value, int cotangent);
  /// Adds the term that `make` makes, only where the value's cotangent is wanted.
  template <typename Make>
  void give_made(int value, const Make& make) {
    if (depends(value)) give(value, make());
  }

  int add(dpm_op op, const std::string& what, std::vector<int> inputs);
  int add(dpm_op op, const std::string& what, std::vector<int> inputs, Attributes attributes);
  int scaled(int value, float scale);
  /// Takes a range of channels of `value`, from `first` on, as many as `part` has.
  int range(int value, int first, const Value& part);

  int convolution(const Node& node, int d);
  void norm(const Node& node, int d);
  void layer_norm(const Node& node, int d);
  void attention(const Node& node, int d);
  void concatenation(const Node& node, int d);
  void scale_shift(const Node& node, int d);
  int viewed(const Node& node, int d);
  int zeros(const Node& view, int first, int channels);
  int separable(const Node& node, int d);
  int transposed_weight(int weight);
  int resampled(const Node& node, int d);

  Graph& graph_;
  /// Number of nodes of the network itself.
  std::size_t forward_;
  std::vector<bool> depends_;
  WeightGradients* weights_;
  /// Cotangent of each value of the network, -1 while it has none.
  std::vector<int> cotangents_;
  std::map<int, int> transposed_;
  /// Prefix of the names of the current node's derivative nodes.
  std::string name_;
};

}  // namespace dpm::graph
