#include "cuda/products/convolution_operands.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

constexpr int kFewestRuns = 20;
constexpr int kMostRuns = 64;
/// More than the cache of any card.
constexpr std::size_t kRotated = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 256;
/// A prime number, so that no two samples of a batch are equal.
constexpr std::size_t kPeriod = 524287;

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

/// Numbers between -amplitude and amplitude: zeros would switch fewer transistors, and let the card's clock rise.
std::vector<unsigned char> random_numbers(DType dtype, std::size_t count, float amplitude) {
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp): the same numbers every time.
  std::minstd_rand random;
  std::uniform_real_distribution<float> uniform(-amplitude, amplitude);
  const std::size_t size = dtype_size(dtype);
  std::vector<unsigned char> numbers(count * size);
  for (std::size_t at = 0; at < numbers.size(); at += size) {
    const float value = uniform(random);
    if (dtype == DType::kFloat32) {
      std::memcpy(numbers.data() + at, &value, size);
    } else {
      const std::uint16_t bits = dtype == DType::kFloat16 ? float_to_half(value) : float_to_bfloat16(value);
      std::memcpy(numbers.data() + at, &bits, size);
    }
  }
  return numbers;
}

/// Fills device memory with repetitions of random numbers.
void fill(const Stream& stream, const DeviceMemory& memory, DType dtype, float amplitude) {
  if (memory.bytes() == 0) return;
  auto* data = memory.as<unsigned char>();
  const std::size_t first = std::min(memory.bytes() / dtype_size(dtype), kPeriod);
  const std::vector<unsigned char> numbers = random_numbers(dtype, first, amplitude);
  check_cuda(cudaMemcpyAsync(data, numbers.data(), numbers.size(), cudaMemcpyHostToDevice, stream.get()),
             "filling operands");
  for (std::size_t filled = numbers.size(); filled < memory.bytes(); filled *= 2) {
    const std::size_t more = std::min(filled, memory.bytes() - filled);
    check_cuda(cudaMemcpyAsync(data + filled, data, more, cudaMemcpyDeviceToDevice, stream.get()), "filling operands");
  }
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
  for (const DeviceMemory* memory : {&x_, &residual_}) fill(stream, *memory, p.dtype, 1);
  fill(stream, bias_, DType::kFloat32, 1);
  // The sum of `terms` products has the variance of an input.
  fill(stream, w_, p.dtype, std::sqrt(3.0F / static_cast<float>(terms_of(p))));
}

ConvolutionBuffers ConvolutionOperands::buffers(int run, const DeviceMemory& workspace) const {
  return {x_.data(),       w_.as<unsigned char>() + static_cast<std::size_t>(run) * weight_bytes_,
          bias_.data(),    residual_.data(),
          out_.data(),     packed_.data(),
          workspace.data()};
}

}  // namespace dpm::cuda
