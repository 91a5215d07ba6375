// Maps of twice or half the size, or of any.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Arguments of resampling; height and width are those of y.
template <typename T>
struct ResampleArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int height;
  int width;
  int channels;
  /// Rows and columns of zeros around x before FIR downsampling: 1 or 0.
  int pad = 1;
  /// Extra rows and columns of y on every side after FIR upsampling, beyond twice x: 0 or 1.
  int extension = 0;
};

/// Enlarges by the nearest neighbour: x has half the height and width.
template <typename T>
void upsample(const ResampleArguments<T>& arguments, cudaStream_t stream);

/// Resizes by the nearest neighbour: element i of y is floor(i * size of x / size of y) of x, whose sizes are given.
template <typename T>
void resize(const ResampleArguments<T>& arguments, int x_height, int x_width, cudaStream_t stream);

/// Computes y[2i] = x[i] and zeros between on both axes: x has half the height and width.
template <typename T>
void zero_upsample(const ResampleArguments<T>& arguments, cudaStream_t stream);

/// Computes means of 2 x 2: x has twice the height and width.
template <typename T>
void average_pool(const ResampleArguments<T>& arguments, cudaStream_t stream);

extern template void upsample(const ResampleArguments<float>&, cudaStream_t);
extern template void upsample(const ResampleArguments<Half>&, cudaStream_t);
extern template void upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
extern template void resize(const ResampleArguments<float>&, int, int, cudaStream_t);
extern template void resize(const ResampleArguments<Half>&, int, int, cudaStream_t);
extern template void resize(const ResampleArguments<Bfloat16>&, int, int, cudaStream_t);
extern template void zero_upsample(const ResampleArguments<float>&, cudaStream_t);
extern template void zero_upsample(const ResampleArguments<Half>&, cudaStream_t);
extern template void zero_upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
extern template void average_pool(const ResampleArguments<float>&, cudaStream_t);
extern template void average_pool(const ResampleArguments<Half>&, cudaStream_t);
extern template void average_pool(const ResampleArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
