// What gradients of a group norm's weights, and of its scale and shift, are made of.
#pragma once

#include "cuda/kernels/group_norm_derivative.h"

namespace dpm::cuda {

/// (S1; S2) of DPM_OP_GROUP_NORM_BACKWARD: for each channel the sums over pixels of delta x' and of delta, with x' the
/// normalised map and delta the cotangent times the slope of the SiLU, if any.
template <typename T>
struct GroupNormSumsArguments {
  GroupNormDerivativeArguments<T> derivative;  ///< its result is neither read nor written, nor is its workspace
  T* sums;                                     ///< array with the 2C sums of sample n at sums + n * sums_stride
  std::int64_t sums_stride;
};

/// Computes the sums with moments of its own, in an order that depends on the shape of a sample alone.
template <typename T>
void group_norm_sums(const GroupNormSumsArguments<T>& arguments, cudaStream_t stream);

/// y[n] = (gamma S1 + beta S2; S2) of (S1; S2), the cotangent of the scale and shift.
template <typename T>
struct GroupNormVectorArguments {
  const T* sums;  ///< array with row n at sums + n * sums_stride
  std::int64_t sums_stride;
  const float* gamma;
  const float* beta;
  T* y;  ///< array with row n at y + n * y_stride
  std::int64_t y_stride;
  int batch;
  int channels;
};

template <typename T>
void group_norm_vector(const GroupNormVectorArguments<T>& arguments, cudaStream_t stream);

extern template void group_norm_sums(const GroupNormSumsArguments<float>&, cudaStream_t);
extern template void group_norm_sums(const GroupNormSumsArguments<Half>&, cudaStream_t);
extern template void group_norm_sums(const GroupNormSumsArguments<Bfloat16>&, cudaStream_t);
extern template void group_norm_vector(const GroupNormVectorArguments<float>&, cudaStream_t);
extern template void group_norm_vector(const GroupNormVectorArguments<Half>&, cudaStream_t);
extern template void group_norm_vector(const GroupNormVectorArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
