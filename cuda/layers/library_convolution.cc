#include "cuda/layers/library_convolution.h"

#include <algorithm>
#include <limits>

namespace dpm::cuda {

bool suits_library(const ValueInfo& value, DType dtype, int batch) {
  const auto bytes = static_cast<std::int64_t>(dtype_size(dtype));
  const std::int64_t stride = value.pixel_stride * bytes;
  const std::int64_t quantum = std::min<std::int64_t>(16, stride & -stride);
  return value.first_channel * bytes % quantum == 0 &&
         batch * value.pixels() * value.pixel_stride <= std::numeric_limits<std::int32_t>::max();
}

ConvolutionProblem convolution_problem(const Device& device, const dpm_convolution_attributes& attributes,
                                       const ValueInfo& in, const ValueInfo& out, int batch) {
  ConvolutionProblem p;
  p.batch = batch;
  p.in_channels = stored_channels(in);
  p.in_height = in.shape.height;
  p.in_width = in.shape.width;
  p.in_pixel_stride = in.pixel_stride;
  p.out_channels = stored_channels(out);
  p.out_height = out.shape.height;
  p.out_width = out.shape.width;
  p.out_pixel_stride = out.pixel_stride;
  p.kernel = attributes.kernel;
  p.stride = attributes.stride;
  p.pad_before = attributes.pad_before;
  p.pad_after = attributes.pad_after;
  p.dtype = device.settings.dtype;
  p.tf32 = device.settings.tf32;
  return p;
}

std::size_t workspace_end(std::int64_t bytes) {
  constexpr std::size_t kAlignment = 256;
  return (static_cast<std::size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace dpm::cuda
