// The operations after a convolution that a plan of the library leaves.
#pragma once

#include <cstdint>
#include <optional>

#include "cuda/kernels/channelwise.h"
#include "cuda/kernels/storage.h"
#include "cuda/products/products.h"

namespace dpm::cuda {

/// Operands of everything after a convolution; bias and residual are those of its buffers and may be null there.
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

/// Returns the one pass over a plan's output that completes this result; empty where nothing is left.
template <typename T>
std::optional<ChannelwiseArguments<T>> rest_of_convolution(const ConvolutionRestArguments<T>& arguments,
                                                           const ConvolutionBuffers& buffers,
                                                           const ConvolutionResult& result);

/// Queues that pass.
template <typename T>
void finish_convolution(const ConvolutionRestArguments<T>& arguments, const ConvolutionBuffers& buffers,
                        const ConvolutionResult& result, cudaStream_t stream) {
  const auto rest = rest_of_convolution(arguments, buffers, result);
  if (rest) channelwise(*rest, stream);
}

extern template std::optional<ChannelwiseArguments<float>> rest_of_convolution(const ConvolutionRestArguments<float>&,
                                                                               const ConvolutionBuffers&,
                                                                               const ConvolutionResult&);
extern template std::optional<ChannelwiseArguments<Half>> rest_of_convolution(const ConvolutionRestArguments<Half>&,
                                                                              const ConvolutionBuffers&,
                                                                              const ConvolutionResult&);
extern template std::optional<ChannelwiseArguments<Bfloat16>> rest_of_convolution(
    const ConvolutionRestArguments<Bfloat16>&, const ConvolutionBuffers&, const ConvolutionResult&);

}  // namespace dpm::cuda
