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
};

/// What an engine may do to be taken.
struct PlanRules {
  /// Largest workspace, bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// Keeps engines out that round float32 inputs, as tensor cores do, or transform them.
  bool exact_inputs = false;
};

struct Plan {
  Descriptor descriptor;
  std::int64_t workspace_bytes;
  EngineChoice choice;
};

/// The finished graph of `operations`. Error(kUnsupported) when cuDNN has no such graph.
Descriptor make_graph(const CudnnLibrary& library, std::span<const Descriptor> operations, const PlanTarget& target);

/// Up to `limit` plans, the expected best first: heuristics A, then B, then the fallback list, each asked only
/// while more plans are wanted. Engines that sum in less than float32 or give another result from run to run
/// are left out. Empty when nothing fits.
std::vector<Plan> find_plans(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                             const PlanRules& rules, std::size_t limit);

/// The plan of a remembered choice; empty when this cuDNN or card refuses it or the rules do.
std::vector<Plan> restore_plan(const CudnnLibrary& library, const Descriptor& graph, const PlanTarget& target,
                               const PlanRules& rules, const EngineChoice& choice);

/// The card of a JSON text that cuDNN wrote for it (cuDNN 9.8 and later).
Descriptor make_device(const CudnnLibrary& library, const std::string& json);

}  // namespace dpm::cuda
