// Placement of a graph's values in one arena.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace dpm::graph {

/// Offsets and size are elements for one sample; a batch multiplies both (dpm_plan).
struct MemoryPlan {
  std::vector<std::uint64_t> offsets;
  std::uint64_t elements = 0;
};

/// Properties of a device that restrict the places of values.
struct PlacementRules {
  /// A convolution may write over its residual.
  bool residual_in_place = false;
  /// A node that reads a norm's result may compute it, and so reads the norm's inputs.
  bool norms_are_joined = false;
  /// A norm right after the convolution whose result it reads may complete that result, and so reads the convolution's
  /// vector and residual.
  bool norms_complete_sums = false;
};

/// Places values by greedy best fit in execution order: a value takes the smallest free gap that holds it and frees it
/// after its last use. An elementwise result takes the place of an input that dies there, as the rules allow. Values
/// used by a node that runs beside others are not freed before its result is read. Bound values get no place. Throws
/// Error(kUnsupported) naming the node when a result that rows share is not bound.
MemoryPlan plan_memory(const Graph& graph, const PlacementRules& rules);

}  // namespace dpm::graph
