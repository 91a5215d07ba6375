// Matrices on both axes of a map: means, broadcasts, a row of pixels with more or fewer of them.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// height and width are those of y, x_height and x_width those of x.
template <typename T>
struct SeparableArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int x_height;
  int x_width;
  int height;
  int width;
  int channels;
  const float* rows;     ///< A [height, x_height]
  const float* columns;  ///< B [width, x_width]
};

/// y = A x B^T in every channel. Each element is one sum over x, without the rows and columns whose factor is zero: for
/// maps as small as those behind a classifier's last block.
template <typename T>
void separable(const SeparableArguments<T>& arguments, cudaStream_t stream);

extern template void separable(const SeparableArguments<float>&, cudaStream_t);
extern template void separable(const SeparableArguments<Half>&, cudaStream_t);
extern template void separable(const SeparableArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
