// A convolution that cuDNN computes, with as much of what follows it as cuDNN can join to it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cuda/dnn/plan.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

class Convolution;

/// Seconds one run of the convolution takes with the plan it has at the moment.
using ConvolutionTimer = std::function<double(const Convolution&)>;

struct ConvolutionOptions {
  PlanTarget target;
  /// Bytes.
  std::int64_t workspace_limit = std::numeric_limits<std::int64_t>::max();
  /// The parts that may be joined, as a sum of ConvolutionPart. Fewer may be faster: the engines that take a whole
  /// chain are not those that are best at the bare convolution.
  unsigned allowed_parts = kPartBias | kPartResidual | kPartScale | kPartSilu;
  /// What `choice()` said for the same problem, card and cuDNN before; empty or no longer possible: ignored.
  std::string remembered;
  /// When given, and nothing usable is remembered, up to 8 plans are timed and the fastest is kept.
  ConvolutionTimer timer;
};

class Convolution {
 public:
  /// Error(kArgument) for a problem that `check_problem` refuses, Error(kUnsupported) when cuDNN has no plan even
  /// for the bare convolution.
  Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem, const ConvolutionOptions& options);

  [[nodiscard]] std::int64_t workspace_bytes() const { return plan_.workspace_bytes; }

  /// The parts that `run` computes, as a sum of ConvolutionPart. They come before all left parts.
  [[nodiscard]] unsigned fused_parts() const { return parts_; }

  /// The parts left to another kernel, to be applied to the output in their order.
  [[nodiscard]] unsigned left_parts() const { return wanted_parts(problem_) & ~parts_; }

  /// The plan in use as text for the plan cache.
  [[nodiscard]] std::string choice() const;

  /// Queues one run on the stream of `handle`. Error(kArgument) when an address that is read is null or not
  /// aligned as `image_alignment` says.
  void run(cudnnHandle_t handle, const ConvolutionBuffers& buffers) const;

 private:
  /// The plan to begin with and the parts it computes.
  struct Start {
    unsigned parts;
    Plan plan;
    /// Slower by expectation; only to be timed.
    std::vector<Plan> others;
  };

  Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem, const ConvolutionOptions& options,
              Start start);

  static Start find_start(const CudnnLibrary& library, const ConvolutionProblem& problem,
                          const ConvolutionOptions& options);
  static std::vector<Start> restore(const CudnnLibrary& library, const ConvolutionProblem& problem,
                                    const ConvolutionOptions& options, const PlanRules& rules);
  void keep_fastest(const ConvolutionTimer& timer, std::vector<Plan> others);

  const CudnnLibrary* library_;
  ConvolutionProblem problem_;
  unsigned parts_;
  Plan plan_;
};

}  // namespace dpm::cuda
