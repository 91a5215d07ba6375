// Places every value of a graph in one arena.
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

/// What a device does with the places that values have.
struct PlacementRules {
  /// A convolution may write over its residual.
  bool residual_in_place = false;
  /// What reads a norm's result may compute it, and reads the norm's inputs.
  bool norms_are_joined = false;
  /// A norm right after the convolution whose result it reads may finish that, and reads its vector and residual.
  bool norms_complete_sums = false;
};

/// Greedy best fit in execution order: a value takes the smallest free gap that holds it and frees it after its last
/// use. An elementwise result takes the place of an input that dies there, as the rules allow. What a node that runs
/// beside others uses is not freed before its result is read. Bound values get no place. Throws Error(kUnsupported)
/// naming the node when a result is not of one row.
MemoryPlan plan_memory(const Graph& graph, const PlacementRules& rules);

}  // namespace dpm::graph
