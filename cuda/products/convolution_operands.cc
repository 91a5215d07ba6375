#include "cuda/products/convolution_operands.h"

#include <algorithm>
#include <cmath>

#include "core/dtype.h"
#include "cuda/products/random_numbers.h"

namespace dpm::cuda {
namespace {

constexpr int kFewestRuns = 20;
constexpr int kMostRuns = 64;
/// Size of the rotated weights: more than the cache of any GPU.
constexpr std::size_t kRotated = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 256;
std::size_t terms_of(const ConvolutionProblem& p) {
  return static_cast<std::size_t>(p.kernel) * static_cast<std::size_t>(p.kernel) *
         static_cast<std::size_t>(p.in_channels);
}

std::size_t aligned_weight_bytes(const ConvolutionProblem& p) {
  const std::size_t bytes = static_cast<std::size_t>(p.out_channels) * terms_of(p) * dtype_size(p.dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int runs_of(std::size_t weight_bytes) {
  return static_cast<int>(std::clamp<std::size_t>(kRotated / weight_bytes + 1, kFewestRuns, kMostRuns));
}

}  // namespace

std::size_t map_bytes(const ConvolutionProblem& problem, int height, int width, std::int64_t pixel_stride) {
  return static_cast<std::size_t>(problem.batch) * static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
         static_cast<std::size_t>(pixel_stride) * dtype_size(problem.dtype);
}

std::size_t output_bytes(const ConvolutionProblem& problem) {
  return map_bytes(problem, problem.out_height, problem.out_width, problem.out_pixel_stride);
}

ConvolutionOperands::ConvolutionOperands(const Stream& stream, const ConvolutionProblem& p)
    : weight_bytes_(aligned_weight_bytes(p)),
      runs_(runs_of(weight_bytes_)),
      x_(count_, map_bytes(p, p.in_height, p.in_width, p.in_pixel_stride)),
      w_(count_, static_cast<std::size_t>(runs_) * weight_bytes_),
      bias_(count_, p.bias ? static_cast<std::size_t>(p.out_channels) * sizeof(float) : 0),
      residual_(count_, p.residual ? map_bytes(p, p.out_height, p.out_width, p.residual_pixel_stride) : 0),
      out_(count_, output_bytes(p)),
      packed_(count_, map_bytes(p, p.out_height, p.out_width, p.out_channels)) {
  for (const DeviceMemory* memory : {&x_, &residual_}) fill_randomly(stream, *memory, p.dtype, 1);
  fill_randomly(stream, bias_, DType::kFloat32, 1);
  // The amplitude gives the sum of `terms` products the variance of an input.
  fill_randomly(stream, w_, p.dtype, std::sqrt(3.0F / static_cast<float>(terms_of(p))));
}

ConvolutionBuffers ConvolutionOperands::buffers(int run, const DeviceMemory& workspace) const {
  ConvolutionBuffers buffers;
  buffers.x = x_.data();
  buffers.w = buffers.adjoint_w = w_.as<unsigned char>() + static_cast<std::size_t>(run) * weight_bytes_;
  buffers.bias = bias_.data();
  buffers.residual = residual_.data();
  buffers.out = out_.data();
  buffers.packed = packed_.data();
  buffers.workspace = workspace.data();
  return buffers;
}

}  // namespace dpm::cuda
