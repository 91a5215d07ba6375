// The sum of one number of every thread of a block.
#pragma once

#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// To be called by all threads of a block of at most 1024 threads, whole warps. `shared` holds kWarp floats that
/// nothing else uses; every thread receives the sum. Its order depends on the block's size alone.
__device__ inline float block_sum(float value, float* shared) {
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kWholeWarp, value, lanes);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  const unsigned warps = blockDim.x / kWarp;
  float sum = threadIdx.x % kWarp < warps ? shared[threadIdx.x % kWarp] : 0.0F;
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kWholeWarp, sum, lanes);
  // The next call writes what a slow warp still has to read here.
  __syncthreads();
  return sum;
}

}  // namespace dpm::cuda
