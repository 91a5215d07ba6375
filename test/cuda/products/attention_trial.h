// Trial of one attention: the kernels that compute it.
#pragma once

#include "cuda/products/products.h"
#include "kernel_trial.h"

namespace dpm::cuda {

/// A trial of an attention, like ConvolutionTrial.
class AttentionTrial {
 public:
  AttentionTrial(const Stream& stream, const AttentionProblem& problem);

  /// Runs our own kernel, which has to be the first. Throws where it fails or the head is too wide for it.
  TrialRow own();
  TrialRow library(const AttentionPlan& plan);

 private:
  const Stream& stream_;
  AttentionProblem problem_;
  MemoryCount count_;
  DeviceMemory q_, k_, v_, out_;
  KernelTrial trial_;
};

}  // namespace dpm::cuda
