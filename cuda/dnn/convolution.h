// A convolution by cuDNN, with those of the following operations that its plan joins.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/dnn/convolution_candidates.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

class Convolution;

/// Measures the seconds of the convolution with its current plan, and of the operations that the plan leaves.
using ConvolutionTimer = std::function<double(const Convolution&)>;

class Convolution {
 public:
  /// Takes the first of `candidates`, of which there is at least one, or the fastest where there are several and a
  /// timer. `measured`, if given, receives all of them. Throws Error(kUnsupported) when none of several runs.
  Convolution(const CudnnLibrary& library, const ConvolutionProblem& problem,
              std::vector<ConvolutionCandidate> candidates, const ConvolutionTimer& timer = {},
              std::vector<MeasuredCandidate>* measured = nullptr);

  [[nodiscard]] std::int64_t workspace_bytes() const { return candidate_.plan.workspace_bytes; }

  /// The parts of the problem that `run` computes.
  [[nodiscard]] ConvolutionResult result() const {
    return {candidate_.parts, candidate_.packed, candidate_.data_gradient};
  }

  /// The plan in use as text for the plan cache.
  [[nodiscard]] std::string choice() const { return to_text(candidate_); }

  /// Queues one run on the stream of `handle`. Throws Error(kArgument) when an address that is read is null or not
  /// aligned as `image_alignment` says.
  void run(cudnnHandle_t handle, const ConvolutionBuffers& buffers) const;

 private:
  void keep_fastest(std::vector<ConvolutionCandidate> others, const ConvolutionTimer& timer,
                    std::vector<MeasuredCandidate>* measured);

  const CudnnLibrary* library_;
  ConvolutionProblem problem_;
  ConvolutionCandidate candidate_;
};

}  // namespace dpm::cuda
