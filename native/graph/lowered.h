// A graph in the form of the seam.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// A lowered graph, which refers to the graph that it was made from.
class LoweredGraph {
 public:
  explicit LoweredGraph(const Graph& graph);
  [[nodiscard]] const dpm_graph& get() const { return graph_; }
  /// Converts `node` to the form of the seam; valid while `node` lives.
  static dpm_node lower(const Node& node);

 private:
  std::vector<dpm_value> values_;
  std::vector<dpm_node> nodes_;
  std::vector<dpm_constant> constants_;
  std::vector<dpm_binding> bindings_;
  dpm_graph graph_{};
};

/// Converts `constant` to the form of the seam; valid while `constant` lives.
dpm_constant lower(const Constant& constant);

}  // namespace dpm::graph
