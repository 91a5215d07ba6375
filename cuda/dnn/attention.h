// Attention as one fused operation of cuDNN.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/dnn/plan.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

class Attention {
 public:
  /// Makes a plan. Throws Error(kArgument) for sizes or strides out of range; Error(kUnsupported) for another dtype or
  /// width, for strides that are no multiple of 8 elements, for cuDNN before 9.13.1, and when cuDNN has no plan that
  /// needs at most `workspace_limit` bytes.
  Attention(const CudnnLibrary& library, const AttentionProblem& problem, const PlanTarget& target,
            std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max());

  [[nodiscard]] std::int64_t workspace_bytes() const { return plan_.workspace_bytes; }

  /// Queues one run on the stream of `handle`. Throws Error(kArgument) when an address is null or not aligned.
  void run(cudnnHandle_t handle, const AttentionBuffers& buffers) const;

 private:
  const CudnnLibrary* library_;
  AttentionProblem problem_;
  Plan plan_;
};

}  // namespace dpm::cuda
