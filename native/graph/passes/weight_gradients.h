// Gradients of constants, as nodes whose results are sums over the rows of a batch.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// Appends the gradients of some constants where a pass knows the cotangents of the nodes that read these. Each is
/// bound to DPM_BINDING_GRADIENT and the constant's name; where several nodes read a constant, several results are
/// bound to one name.
class WeightGradients {
 public:
  /// Throws Error(kArgument) for an index that is no constant's, and for two constants of one name; Error(kUnsupported)
  /// naming a constant that some node reads in a way without a derivative, or that no output depends on.
  WeightGradients(Graph& graph, const std::vector<int>& constants);

  /// Returns whether the gradient of a constant of `node` is wanted.
  [[nodiscard]] bool wants(const Node& node) const;
  /// Appends the gradients of the constants of `node`, which is no norm, from the cotangent of its result.
  void add(const Node& node, int cotangent);
  /// Appends the gradients of a norm's constants from the sums of its derivative (DPM_OP_GROUP_NORM_BACKWARD).
  void add_norm(const Node& norm, int sums);
  /// Appends those of a layer norm's constants from the cotangent of its result, and from the products of that with the
  /// normalised map (DPM_OP_LAYER_NORM_BACKWARD).
  void add_layer_norm(const Node& norm, int products, int cotangent);

 private:
  [[nodiscard]] bool is_wanted(int constant) const { return wanted_[static_cast<std::size_t>(constant)]; }
  void check_use() const;
  /// Binds the sum of the rows of `value` to the gradient of `constant`.
  void bind_sum(int constant, int value, const std::string& name);
  void bind(int constant, int value);
  void convolution(const Node& node, int cotangent);
  void table(const Node& node, int cotangent);

  Graph& graph_;
  std::vector<bool> wanted_;
};

}  // namespace dpm::graph
