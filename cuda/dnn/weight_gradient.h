// The gradient of a convolution's weights by cuDNN.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/dnn/plan.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

class WeightGradient {
 public:
  /// Makes a plan, by an engine whose kernel is compiled already where there is one. Throws Error(kArgument) for a
  /// problem that `check_problem` refuses; Error(kUnsupported) when cuDNN has no plan that needs at most
  /// `workspace_limit` bytes and gives the same result in every run.
  WeightGradient(const CudnnLibrary& library, const ConvolutionProblem& problem, const PlanTarget& target,
                 std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max());

  [[nodiscard]] std::int64_t workspace_bytes() const { return plan_.workspace_bytes; }
  /// The engine in use.
  [[nodiscard]] const EngineChoice& choice() const { return plan_.choice; }

  /// Queues one run on the stream of `handle`. Throws Error(kArgument) when an address is null or not aligned.
  void run(cudnnHandle_t handle, const WeightGradientBuffers& buffers) const;

 private:
  const CudnnLibrary* library_;
  ConvolutionProblem problem_;
  Plan plan_;
};

}  // namespace dpm::cuda
