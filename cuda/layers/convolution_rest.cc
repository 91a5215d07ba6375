#include "cuda/layers/convolution_rest.h"

namespace dpm::cuda {

template <typename T>
std::optional<ChannelwiseArguments<T>> rest_of_convolution(const ConvolutionRestArguments<T>& arguments,
                                                           const ConvolutionBuffers& buffers,
                                                           const ConvolutionResult& result) {
  const auto map = [&](const void* data, std::int64_t pixel_stride) {
    return Map<const T>{static_cast<const T*>(data), pixel_stride, pixel_stride * arguments.pixels};
  };
  const auto is_left = [&](unsigned part) { return (result.parts & part) == 0; };
  ChannelwiseArguments<T> a{};
  a.x = result.packed ? map(buffers.packed, arguments.channels) : map(buffers.out, arguments.out_pixel_stride);
  a.y = {static_cast<T*>(buffers.out), arguments.out_pixel_stride, arguments.out_pixel_stride * arguments.pixels};
  a.batch = arguments.batch;
  a.pixels = arguments.pixels;
  a.channels = arguments.channels;
  if (is_left(kPartBias)) a.bias = static_cast<const float*>(buffers.bias);
  a.vector = arguments.vector;
  a.vector_stride = arguments.vector_stride;
  if (is_left(kPartResidual) && buffers.residual != nullptr) {
    a.residual = map(buffers.residual, arguments.residual_pixel_stride);
  }
  a.scale = is_left(kPartScale) ? arguments.scale : 1.0F;
  const bool activates = is_left(kPartSilu) && arguments.silu;
  a.activation = activates ? Activation::kSilu : Activation::kNone;
  const bool adds = a.bias != nullptr || a.vector != nullptr || a.residual.data != nullptr || a.scale != 1.0F;
  if (!adds && !activates && !result.packed) return std::nullopt;
  return a;
}

template std::optional<ChannelwiseArguments<float>> rest_of_convolution(const ConvolutionRestArguments<float>&,
                                                                        const ConvolutionBuffers&,
                                                                        const ConvolutionResult&);
template std::optional<ChannelwiseArguments<Half>> rest_of_convolution(const ConvolutionRestArguments<Half>&,
                                                                       const ConvolutionBuffers&,
                                                                       const ConvolutionResult&);
template std::optional<ChannelwiseArguments<Bfloat16>> rest_of_convolution(const ConvolutionRestArguments<Bfloat16>&,
                                                                           const ConvolutionBuffers&,
                                                                           const ConvolutionResult&);

}  // namespace dpm::cuda
