// The convolution of a small map with the group norm before it and the sum after it, in one launch on tensor cores, for
// networks whose latency exceeds their computing time.
#pragma once

#include <cstdint>

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Sizes of the convolution. The output pixel (i, j) reads x from (i, j) * stride - pad_before on, zero outside.
struct SmallConvolutionShape {
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
  int groups;  ///< groups of the norm; 0 where there is none
};

/// Operands of the norm of x: activation(scale-shift(gamma * (z - mean) / sqrt(variance + epsilon) + beta)) for z = x +
/// bias[c] + vector[n, c], as in GroupNormArguments. All are null where the shape has no groups.
template <typename T>
struct SmallConvolutionNorm {
  const float* gamma;  ///< array [in_channels]
  const float* beta;
  float epsilon;
  bool silu;
  const float* bias;  ///< null, or [in_channels], the bias of the convolution that made x
  const T* vector;    ///< null, or row n of in_channels at vector + n * vector_stride
  std::int64_t vector_stride;
  const T* scale_shift;  ///< null, or row n of 2 * in_channels: y * (1 + scale[c]) + shift[c]
  std::int64_t scale_shift_stride;
};

/// y = activation(scale * (convolution(norm(x)) + bias[c] + vector[n, c] + residual)); every operand after the
/// convolution may be absent (null). The norm's result is rounded to T; zeros pad this result. y may be the residual,
/// but shares nothing with x.
template <typename T>
struct SmallConvolutionArguments {
  SmallConvolutionShape shape;
  Map<const T> x;
  SmallConvolutionNorm<T> norm;
  const T* weight;  ///< array [out_channels][kernel][kernel][in_channels]
  Map<T> y;
  const float* bias;  ///< array [out_channels]
  const T* vector;    ///< array with row n at vector + n * vector_stride
  std::int64_t vector_stride;
  Map<const T> residual;
  float scale;
  bool silu;
  float* workspace;    ///< array of small_convolution_workspace(shape) floats
  unsigned* counters;  ///< array of small_convolution_counters(shape), zero before the first launch and after every one
};

/// Returns whether there are tiles for a shape: kernels of 1 x 1 and 3 x 3, strides of 1 and 2, up to 1024 output
/// pixels in the batch, input channels in multiples of 8 and output channels of 4, groups that fit into a slice (up to
/// 128 channels).
bool takes_small_convolution(const SmallConvolutionShape& shape);

/// Returns the maximum of samples for a shape.
int most_small_convolution_samples(const SmallConvolutionShape& shape);

/// Returns whether the shape is possible and the maps and parameters are aligned: 8 input channels, 4 output channels
/// at a time.
template <typename T>
bool takes_small_convolution(const SmallConvolutionArguments<T>& arguments);

/// Returns the floats of workspace that a launch needs.
std::int64_t small_convolution_workspace(const SmallConvolutionShape& shape);
/// Returns the counters that a launch needs.
std::int64_t small_convolution_counters(const SmallConvolutionShape& shape);

/// Computes y. Blocks share the output pixels of a sample, the output channels and, in slices of whole groups, the
/// input channels. Each of them norms its own slice; the last one to finish a tile of the result adds up the slices'
/// shares in the order of the slices. Tiles and slices, and with them the order of all sums, depend on the shape of a
/// sample (SmallConvolutionPlan), never on the batch or on which block comes last.
///
/// With u, T's unit of rounding (2^-11 for Half, 2^-8 for Bfloat16), and the norm's results as rounded: y is within u
/// |y| and 2^-18 of the sum of all magnitudes |weight * value|, |bias|, |vector| and |residual|. A result of the norm
/// that float32 cannot distinguish from the middle of two numbers may be rounded to either.
template <typename T>
void small_convolution(const SmallConvolutionArguments<T>& arguments, cudaStream_t stream);

extern template bool takes_small_convolution(const SmallConvolutionArguments<Half>&);
extern template bool takes_small_convolution(const SmallConvolutionArguments<Bfloat16>&);
extern template void small_convolution(const SmallConvolutionArguments<Half>&, cudaStream_t);
extern template void small_convolution(const SmallConvolutionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
