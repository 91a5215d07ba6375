// Layer normalisation: the channels of each pixel by their own mean and deviation.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y = (x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c], of each pixel, in float32. y may be x.
template <typename T>
struct LayerNormArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int pixels;
  int channels;
  const float* gamma;
  const float* beta;
  float epsilon;
};

/// y = the cotangent of x of such a norm from d, that of its result; y may be d. Where they are asked for, also the
/// products of d and the normalised map.
template <typename T>
struct LayerNormBackwardArguments {
  Map<const T> x;
  Map<const T> d;
  Map<T> y;
  Map<T> products;  ///< null: not asked for
  int batch;
  int pixels;
  int channels;
  const float* gamma;
  float epsilon;
};

/// Normalises with a warp a pixel, in 16-byte accesses where channels, strides and addresses allow.
template <typename T>
void layer_norm(const LayerNormArguments<T>& arguments, cudaStream_t stream);

/// Pulls back with a warp a pixel, accessing maps as layer_norm does.
template <typename T>
void layer_norm_backward(const LayerNormBackwardArguments<T>& arguments, cudaStream_t stream);

extern template void layer_norm(const LayerNormArguments<float>&, cudaStream_t);
extern template void layer_norm(const LayerNormArguments<Half>&, cudaStream_t);
extern template void layer_norm(const LayerNormArguments<Bfloat16>&, cudaStream_t);
extern template void layer_norm_backward(const LayerNormBackwardArguments<float>&, cudaStream_t);
extern template void layer_norm_backward(const LayerNormBackwardArguments<Half>&, cudaStream_t);
extern template void layer_norm_backward(const LayerNormBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
