// The gradient of a convolution's weights where cuDNN does not support it, or where there is no cuDNN.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Sizes of the convolution, whose output pixel (i, j) reads x from (i, j) * stride - pad_before on.
struct ConvolutionWeightsShape {
  int rows;
  int in_height;
  int in_width;
  int in_channels;
  int out_height;
  int out_width;
  int out_channels;
  int kernel;
  int stride;
  int pad_before;

  [[nodiscard]] __host__ __device__ std::int64_t weights() const {
    return std::int64_t{out_channels} * kernel * kernel * in_channels;
  }
  [[nodiscard]] __host__ __device__ std::int64_t pixels() const { return std::int64_t{rows} * out_height * out_width; }
};

/// sum[o][i][tap] += sum over rows and output pixels of d[o] x[i at the tap], with float32 sums: x has in_channels, d
/// out_channels.
template <typename T>
struct ConvolutionWeightsArguments {
  ConvolutionWeightsShape shape;
  Map<const T> x;
  Map<const T> d;
  float* workspace;  ///< convolution_weights_workspace(shape) floats
  float* sum;
};

/// Returns the floats of workspace that a launch needs; fewer rows need no more.
std::int64_t convolution_weights_workspace(const ConvolutionWeightsShape& shape);

/// Computes a GEMM of output channels by taps and input channels, whose depth, the pixels of all rows, is cut into
/// parts. The parts are added in their order, and depend on the shape alone.
template <typename T>
void convolution_weights(const ConvolutionWeightsArguments<T>& arguments, cudaStream_t stream);

extern template void convolution_weights(const ConvolutionWeightsArguments<float>&, cudaStream_t);
extern template void convolution_weights(const ConvolutionWeightsArguments<Half>&, cudaStream_t);
extern template void convolution_weights(const ConvolutionWeightsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
