// From a graph of operations to plans that can run.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cuda/dnn/descriptor.h"
#include "cuda/dnn/engine_choice.h"

namespace dpm::cuda {

/// The card that plans are made for: a cuDNN handle on it, or its description (cuDNN 9.8 and later), which needs
/// no card in this machine.
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* device = nullptr;
  /// Its compute capability times ten; 0 where nobody knows.
  int capability = 0;
};

/// What an engine may do to be taken.
struct PlanRules {
  /// Largest workspace, bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// Keeps engines out that round float32 inputs, as tensor cores do, or transform them.
  bool exact_inputs = false;
  /// Keeps engines out that compile their kernel when a plan is made: that takes from half a second to several.
  bool precompiled = false;
  /// Puts Hopper engines before all others. Of convolutions: what an index means is another thing for other operations.
  bool hopper_first = true;
};

struct Plan {
  Descriptor descriptor;
  std::int64_t workspace_bytes;
  EngineChoice choice;
  /// The engine is of the list that cuDNN keeps for where its heuristics find nothing.
  bool is_fallback = false;
};

/// The finished graph of `operations`. Error(kUnsupported) when cuDNN has no such graph.
Descriptor make_graph(const CudnnLibrary& library, std::span<const Descriptor> operations, const PlanTarget& target);

/// Whether the kernel is one for compute capability 9: it multiplies by whole warp groups (WGMMA), which reaches nearly
/// twice of what the instructions of older cards do. Engines that have clusters are; of those that compile their kernel
/// cuDNN says nothing, so they are known by their index. Of convolutions alone.
bool is_hopper(const EngineChoice& choice);

/// Up to `limit` plans, the expected best first: heuristics A, then B, then the fallback list, each asked only
/// while more plans are wanted; on compute capability 9 all Hopper engines of these before all others, which the
/// heuristics of cuDNN 9.19 do not even name. Engines that sum in less than float32 or give another result from run to
/// run are left out. Empty when nothing fits.
std::vector<Plan> find_plans(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                             const PlanRules& rules, std::size_t limit);

/// The plan of a remembered choice; empty when this cuDNN or card refuses it or the rules do.
std::vector<Plan> restore_plan(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                               const PlanRules& rules, const EngineChoice& choice);

/// The card of a JSON text that cuDNN wrote for it (cuDNN 9.8 and later).
Descriptor make_device(const CudnnLibrary& library, const std::string& json);

}  // namespace dpm::cuda
