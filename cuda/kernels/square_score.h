// The derivative of a weighted sum of squared differences.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y = 2 weight (x - target) for c < channels, or 2 weight (x - (target - compared)^2) where there is such a map; the
/// rest up to padded_channels is zero.
template <typename T>
struct SquareScoreArguments {
  Map<const T> x;
  Map<const T> target;
  Map<const T> compared;  ///< its data are null where there is none
  const T* weight;        ///< array with the weight of sample n at weight + n * weight_stride
  /// Remainders of the weights' rounding, in the same places of another array; null without them.
  const T* weight_rest;
  std::int64_t weight_stride;
  Map<T> y;
  int batch;
  int pixels;
  int channels;
  int padded_channels;
};

template <typename T>
void square_score(const SquareScoreArguments<T>& arguments, cudaStream_t stream);

extern template void square_score(const SquareScoreArguments<float>&, cudaStream_t);
extern template void square_score(const SquareScoreArguments<Half>&, cudaStream_t);
extern template void square_score(const SquareScoreArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
