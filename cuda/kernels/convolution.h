// The convolution where cuDNN does not support it, or where there is no cuDNN.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// The way in which x is first made twice as large.
enum class Enlargement {
  kNone,
  kNearest,
  kZeros,  ///< zeros between its elements, on both axes
};

/// y = activation(scale * (convolution(x) + bias[c] + vector[n, c] + residual)), float32 sums; every operand after the
/// convolution may be absent (null). in_height and in_width are those of x as stored, before any enlargement. The
/// output pixel (i, j) reads the enlarged x from (i, j) * stride - pad_before on, zero outside. y may be the residual.
template <typename T>
struct ConvolutionArguments {
  Map<const T> x;
  const T* weight;  ///< array [out_channels][kernel][kernel][in_channels]
  Map<T> y;
  const float* bias;  ///< array [out_channels]
  const T* vector;    ///< array with row n at vector + n * vector_stride
  std::int64_t vector_stride;
  Map<const T> residual;
  float scale;
  bool silu;
  int batch;
  int in_height;
  int in_width;
  int in_channels;
  int out_height;
  int out_width;
  int out_channels;
  int kernel;
  int stride;
  int pad_before;
  Enlargement enlargement;
};

/// The tile of a block: 64 pixels by 64 output channels, or 16 by 16 for small maps and few channels. Both give the
/// same bits.
enum class ConvolutionTile { kLarge, kSmall };

/// Computes an implicit GEMM: pixels of all samples by output channels, in tiles through shared memory.
template <typename T>
void convolution(const ConvolutionArguments<T>& arguments, ConvolutionTile tile, cudaStream_t stream);

/// Computes the convolution with the tile that suits the shape.
template <typename T>
void convolution(const ConvolutionArguments<T>& arguments, cudaStream_t stream);

extern template void convolution(const ConvolutionArguments<float>&, ConvolutionTile, cudaStream_t);
extern template void convolution(const ConvolutionArguments<Half>&, ConvolutionTile, cudaStream_t);
extern template void convolution(const ConvolutionArguments<Bfloat16>&, ConvolutionTile, cudaStream_t);
extern template void convolution(const ConvolutionArguments<float>&, cudaStream_t);
extern template void convolution(const ConvolutionArguments<Half>&, cudaStream_t);
extern template void convolution(const ConvolutionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
