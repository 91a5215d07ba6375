// A step of the optimiser (dpm_optimize).
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// Arguments of a step; the views of `how` are not used, their tensors are here.
struct OptimizeArguments {
  dpm_optimize how;
  float* parameters;
  float* gradients;
  float* first_moments;
  float* second_moments;
  float* average;
};

void optimize(const OptimizeArguments& arguments, cudaStream_t stream);

}  // namespace dpm::cuda
