// Combination of one number per thread of a block: the sum, or another.
#pragma once

#include "cuda/kernels/launch.h"

namespace dpm::cuda {

/// Combines the values of all threads. All threads of a block of at most 1024 threads, in whole warps, have to call it.
/// `shared` holds kWarp numbers that nothing else uses; every thread receives the combination of all values. `combine`
/// is commutative, `identity` changes nothing. The order depends on the block's size alone.
template <typename T, typename Combine>
__device__ T block_reduce(T value, T* shared, T identity, const Combine& combine) {
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    value = combine(value, __shfl_xor_sync(kWholeWarp, value, lanes));
  }
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  const unsigned warps = blockDim.x / kWarp;
  T total = threadIdx.x % kWarp < warps ? shared[threadIdx.x % kWarp] : identity;
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    total = combine(total, __shfl_xor_sync(kWholeWarp, total, lanes));
  }
  // The barrier comes before the next call's writes to `shared`, which a slow warp may still be reading.
  __syncthreads();
  return total;
}

/// Returns the sum, under the conditions of block_reduce.
template <typename T>
__device__ T block_sum(T value, T* shared) {
  return block_reduce(value, shared, T{0}, [](T a, T b) { return a + b; });
}

}  // namespace dpm::cuda
