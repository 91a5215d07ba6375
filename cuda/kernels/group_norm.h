// Group norm of NHWC maps with the operations that usually follow it.
#pragma once

#include <cstdint>

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// The unfinished part of a convolution, which the norm of its result completes: z = scale * (x + bias[c] + vector[n,
/// c] + residual), as T.
template <typename T>
struct NormCompletion {
  Map<T> z;               ///< result; absent where there is nothing to complete; may be x or the residual
  Map<const T> residual;  ///< residual, may be absent
  float scale;
};

/// y = activation(scale-shift(gamma * (z - mean) / sqrt(variance + epsilon) + beta)) for z = x + bias[c] + vector[n,
/// c], or for the z of `completion`, which is written, too; statistics in float32 over the channels of a group and all
/// pixels of a sample (Wu & He 2018). y may be x.
template <typename T>
struct GroupNormArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int pixels;
  int channels;  ///< number of channels, a multiple of `groups`
  int groups;
  float epsilon;
  const float* gamma;  ///< array [channels]
  const float* beta;
  const T* scale_shift;  ///< null, or row n of 2 * channels at scale_shift + n * stride: y * (1 + scale[c]) + shift[c]
  std::int64_t scale_shift_stride;
  const float* bias;  ///< array [channels], or null
  const T* vector;    ///< null, or row n of `channels` at vector + n * vector_stride
  std::int64_t vector_stride;
  bool silu;
  NormCompletion<T> completion;
  float* workspace;  ///< array of group_norm_workspace(...) floats
};

/// Returns the floats of workspace that a launch needs, 0 for small maps.
std::int64_t group_norm_workspace(int batch, int pixels, int channels, int groups);

/// Returns whether group_norm() can complete its input: maps of aligned vectors whose groups fit into registers.
template <typename T>
bool takes_completion(const GroupNormArguments<T>& arguments);

/// Computes the norm. A map whose groups fit into the registers of a block each is read and written once; a larger one
/// is read twice, by a kernel for the statistics of chunks of pixels and one for the result. The choice, and the order
/// of all sums, depends on the shape of a sample and the alignment of its pixels, never on the batch.
template <typename T>
void group_norm(const GroupNormArguments<T>& arguments, cudaStream_t stream);

extern template bool takes_completion(const GroupNormArguments<float>&);
extern template bool takes_completion(const GroupNormArguments<Half>&);
extern template bool takes_completion(const GroupNormArguments<Bfloat16>&);
extern template void group_norm(const GroupNormArguments<float>&, cudaStream_t);
extern template void group_norm(const GroupNormArguments<Half>&, cudaStream_t);
extern template void group_norm(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
