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

/// Greedy best fit in execution order: a value takes the smallest free gap that holds it and frees it after its last
/// use. An elementwise result takes the place of an input that dies there, a convolution's that of its residual if
/// `residual_in_place`. Bound values get no place. Throws Error(kUnsupported)
/// naming the node when a result is not of one row.
MemoryPlan plan_memory(const Graph& graph, bool residual_in_place);

}  // namespace dpm::graph
