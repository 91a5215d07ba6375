// What a plan of the library leaves of a convolution.
#pragma once

#include <cstdint>

#include "cuda/kernels/storage.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

/// All that follows a convolution; bias and residual are those of its buffers and may be null there.
template <typename T>
struct ConvolutionRestArguments {
  int batch;
  int pixels;
  int channels;
  std::int64_t out_pixel_stride;
  std::int64_t residual_pixel_stride;
  const T* vector;  ///< null, or row n of `channels` at vector + n * vector_stride
  std::int64_t vector_stride;
  float scale;
  bool silu;
};

/// Queues what a plan with this result has left, in one pass over what it wrote; nothing where nothing is left.
template <typename T>
void finish_convolution(const ConvolutionRestArguments<T>& arguments, const ConvolutionBuffers& buffers,
                        const ConvolutionResult& result, cudaStream_t stream);

extern template void finish_convolution(const ConvolutionRestArguments<float>&, const ConvolutionBuffers&,
                                        const ConvolutionResult&, cudaStream_t);
extern template void finish_convolution(const ConvolutionRestArguments<Half>&, const ConvolutionBuffers&,
                                        const ConvolutionResult&, cudaStream_t);
extern template void finish_convolution(const ConvolutionRestArguments<Bfloat16>&, const ConvolutionBuffers&,
                                        const ConvolutionResult&, cudaStream_t);

}  // namespace dpm::cuda
