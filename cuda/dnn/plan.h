// Plans for a graph of operations.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cuda/dnn/descriptor.h"
#include "cuda/dnn/engine_choice.h"

namespace dpm::cuda {

/// The GPU that plans are made for: a cuDNN handle on it, or its description (cuDNN 9.8 and later), for which no GPU
/// need be in this machine.
struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* device = nullptr;
  /// Compute capability times ten; 0 where it is unknown.
  int capability = 0;
};

/// Rules that an engine has to meet.
struct PlanRules {
  /// Limit of the workspace in bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// Excludes engines that round float32 inputs, as tensor cores do, or transform them.
  bool exact_inputs = false;
  /// Excludes engines that compile their kernel when a plan is made, which takes from half a second to several.
  bool precompiled = false;
  /// Puts Hopper engines before all others. For convolutions only, because an index means another engine for other
  /// operations.
  bool hopper_first = true;
};

struct Plan {
  Descriptor descriptor;
  std::int64_t workspace_bytes;
  EngineChoice choice;
  /// The engine is from cuDNN's list for cases where its heuristics find nothing.
  bool is_fallback = false;
};

/// Makes the finished graph of `operations`. Throws Error(kUnsupported) when cuDNN has no such graph.
Descriptor make_graph(const CudnnLibrary& library, std::span<const Descriptor> operations, const PlanTarget& target);

/// Returns whether a convolution's kernel is one for compute capability 9: it multiplies by whole warp groups (WGMMA),
/// which is nearly twice as fast as the instructions of older GPUs. Engines that have clusters are such kernels. For
/// engines that compile their kernel cuDNN does not report it, so they are known by their index.
bool is_hopper(const EngineChoice& choice);

/// Finds up to `limit` plans, with the expected best first: from heuristics A, then B, then the fallback list, each
/// asked only while more plans are wanted. On compute capability 9 all Hopper engines of these come before all others,
/// because the heuristics of cuDNN 9.19 do not even name them. Engines that sum in less than float32 or give another
/// result from run to run are left out. Empty when nothing fits.
std::vector<Plan> find_plans(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                             const PlanRules& rules, std::size_t limit);

/// Makes the plan of a remembered choice; empty when this cuDNN, the GPU or the rules refuse it.
std::vector<Plan> restore_plan(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                               const PlanRules& rules, const EngineChoice& choice);

/// Makes a device from the JSON text that cuDNN wrote for a GPU (cuDNN 9.8 and later).
Descriptor make_device(const CudnnLibrary& library, const std::string& json);

}  // namespace dpm::cuda
