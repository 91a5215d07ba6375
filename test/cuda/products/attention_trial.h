// One attention: the kernels that compute it.
#pragma once

#include "cuda/products/products.h"
#include "kernel_trial.h"

namespace dpm::cuda {

/// As ConvolutionTrial.
class AttentionTrial {
 public:
  AttentionTrial(const Stream& stream, const AttentionProblem& problem);

  /// Our own kernel, the first to be run. Throws where it fails or the head is too wide for it.
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
