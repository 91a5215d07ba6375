// Products of vectors: the time path.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y[n][o] = activation(scale * (sum_i x[n][i] * weight[o][i] + bias[o])), float32 sums.
template <typename T>
struct LinearArguments {
  const T* x;  ///< row n at x + n * x_stride
  std::int64_t x_stride;
  const T* weight;    ///< [outputs][inputs]
  const float* bias;  ///< null, or [outputs]
  T* y;               ///< row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int inputs;
  int outputs;
  float scale;
  bool silu;
};

/// A row of the weight is read once for up to eight samples.
template <typename T>
void linear(const LinearArguments<T>& arguments, cudaStream_t stream);

extern template void linear(const LinearArguments<float>&, cudaStream_t);
extern template void linear(const LinearArguments<Half>&, cudaStream_t);
extern template void linear(const LinearArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
