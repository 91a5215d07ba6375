// Products of vectors, for the time path.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y[n][o] = activation(scale * (sum_i x[n][i] * weight[o][i] + bias[o])), float32 sums.
template <typename T>
struct LinearArguments {
  const T* x;  ///< array with row n at x + n * x_stride
  std::int64_t x_stride;
  const T* weight;    ///< array [outputs][inputs]
  const float* bias;  ///< null, or array [outputs]
  T* y;               ///< array with row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int inputs;
  int outputs;
  float scale;
  bool silu;
};

/// Computes y; a row of the weight is read once for up to eight samples.
template <typename T>
void linear(const LinearArguments<T>& arguments, cudaStream_t stream);

extern template void linear(const LinearArguments<float>&, cudaStream_t);
extern template void linear(const LinearArguments<Half>&, cudaStream_t);
extern template void linear(const LinearArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
