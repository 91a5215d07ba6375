// Matrices on both axes of a map: means, broadcasts, or a resampling of the pixels of each row.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Arguments: height and width are those of y, x_height and x_width those of x.
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
  const float* rows;     ///< matrix A [height, x_height]
  const float* columns;  ///< matrix B [width, x_width]
};

/// Computes y = A x B^T in every channel. Each element is one sum over x, without the rows and columns whose factor is
/// zero: meant for small maps, like those behind a classifier's last block.
template <typename T>
void separable(const SeparableArguments<T>& arguments, cudaStream_t stream);

extern template void separable(const SeparableArguments<float>&, cudaStream_t);
extern template void separable(const SeparableArguments<Half>&, cudaStream_t);
extern template void separable(const SeparableArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
