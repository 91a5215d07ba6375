// Group norm of NHWC maps with what usually follows it.
#pragma once

#include <cstdint>

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y = activation(scale-shift(gamma * (x - mean) / sqrt(variance + epsilon) + beta)), statistics in float32 over the
/// channels of a group and all pixels of a sample (Wu & He 2018). Maps are [batch][pixels][channels] with a stride from
/// pixel to pixel, so that ranges of channels of a wider map can be read and written.
template <typename T>
struct GroupNormArguments {
  const T* x;
  T* y;
  std::int64_t x_pixel_stride;  ///< elements
  std::int64_t y_pixel_stride;
  std::int64_t x_sample_stride;
  std::int64_t y_sample_stride;
  int batch;
  int pixels;
  int channels;  ///< a multiple of `groups`
  int groups;
  float epsilon;
  const float* gamma;  ///< [channels]
  const float* beta;
  const T* scale_shift;  ///< null, or [batch][2 * channels]: y * (1 + scale[c]) + shift[c]
  bool silu;
};

/// One block a group of a sample: the group is read three times (mean, variance, result), the second and third time
/// from a cache, and written once.
template <typename T>
void group_norm(const GroupNormArguments<T>& arguments, cudaStream_t stream);

extern template void group_norm(const GroupNormArguments<float>&, cudaStream_t);
extern template void group_norm(const GroupNormArguments<Half>&, cudaStream_t);
extern template void group_norm(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
