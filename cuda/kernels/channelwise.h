// Element-by-element operations after a product or a norm, in one pass.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// The activation that is applied to an element last.
/// The last two have kernels of their own (activation.h), and their derivative is that of all.
enum class Activation { kNone, kSilu, kMish, kGelu, kRelu, kQuickGelu, kTanh };

/// y = activation((scale * (x + bias[pixel, c] + vector[n, c] + residual) + shift) * (1 + scale_shift[n, c])
///                + scale_shift[n, channels + c]) where every operand but x may be absent (null). y may be x or the
///                residual.
template <typename T>
struct ChannelwiseArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int pixels;
  int channels;
  const float* bias;               ///< array with that of a pixel at bias + pixel * bias_pixel_stride
  std::int64_t bias_pixel_stride;  ///< stride between pixels; 0 where all have the same bias
  const T* vector;                 ///< array with row n at vector + n * vector_stride
  std::int64_t vector_stride;
  Map<const T> residual;
  float scale;
  float shift;
  const T* scale_shift;  ///< array with row n of 2 * channels at scale_shift + n * scale_shift_stride
  std::int64_t scale_shift_stride;
  Activation activation;
};

/// Computes y. Each operand is read once, in 16-byte accesses where channels, strides and addresses allow.
template <typename T>
void channelwise(const ChannelwiseArguments<T>& arguments, cudaStream_t stream);

extern template void channelwise(const ChannelwiseArguments<float>&, cudaStream_t);
extern template void channelwise(const ChannelwiseArguments<Half>&, cudaStream_t);
extern template void channelwise(const ChannelwiseArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
