#include "cuda/dnn/timing.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/replay.h"

namespace dpm::cuda {
namespace {

constexpr int kFewestRuns = 20;
constexpr int kMostRuns = 64;
/// More than the cache of any card.
constexpr std::size_t kRotated = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 256;

std::size_t image_bytes(const ConvolutionProblem& problem, int height, int width, std::int64_t pixel_stride) {
  return static_cast<std::size_t>(problem.batch) * static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
         static_cast<std::size_t>(pixel_stride) * dtype_size(problem.dtype);
}

std::size_t weight_bytes(const ConvolutionProblem& p) {
  const std::size_t bytes = static_cast<std::size_t>(p.out_channels) * static_cast<std::size_t>(p.kernel) *
                            static_cast<std::size_t>(p.kernel) * static_cast<std::size_t>(p.in_channels) *
                            dtype_size(p.dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

int runs_of(const ConvolutionProblem& problem) {
  const std::size_t wanted = kRotated / weight_bytes(problem) + 1;
  return static_cast<int>(std::clamp<std::size_t>(wanted, kFewestRuns, kMostRuns));
}

/// Numbers between -1 and 1: zeros would switch fewer transistors, and let the card's clock rise.
std::vector<unsigned char> random_numbers(DType dtype, std::size_t bytes) {
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp): the same numbers every time.
  std::minstd_rand random;
  std::uniform_real_distribution<float> uniform(-1, 1);
  const std::size_t size = dtype_size(dtype);
  std::vector<unsigned char> numbers(bytes / size * size);
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
void fill(const Stream& stream, const DeviceMemory& memory, DType dtype) {
  constexpr std::size_t kPeriod = std::size_t{1} << 20;
  if (memory.bytes() == 0) return;
  auto* data = memory.as<unsigned char>();
  std::size_t filled = std::min(memory.bytes(), kPeriod);
  const std::vector<unsigned char> numbers = random_numbers(dtype, filled);
  check_cuda(cudaMemcpyAsync(data, numbers.data(), numbers.size(), cudaMemcpyHostToDevice, stream.get()),
             "filling operands");
  for (; filled < memory.bytes(); filled *= 2) {
    const std::size_t more = std::min(filled, memory.bytes() - filled);
    check_cuda(cudaMemcpyAsync(data + filled, data, more, cudaMemcpyDeviceToDevice, stream.get()), "filling operands");
  }
}

struct Operands {
  Operands(const Stream& stream, const ConvolutionProblem& p)
      : runs(runs_of(p)),
        x(count, image_bytes(p, p.in_height, p.in_width, p.in_pixel_stride)),
        w(count, static_cast<std::size_t>(runs) * weight_bytes(p)),
        bias(count, static_cast<std::size_t>(p.out_channels) * sizeof(float)),
        residual(count, p.residual ? image_bytes(p, p.out_height, p.out_width, p.residual_pixel_stride) : 0),
        out(count, image_bytes(p, p.out_height, p.out_width, p.out_pixel_stride)),
        packed(count, image_bytes(p, p.out_height, p.out_width, p.out_channels)) {
    for (const DeviceMemory* memory : {&x, &w, &residual}) fill(stream, *memory, p.dtype);
    fill(stream, bias, DType::kFloat32);
  }

  MemoryCount count;
  int runs;
  DeviceMemory x, w, bias, residual, out, packed;
};

}  // namespace

ConvolutionTimer convolution_timer(const Stream& stream, cudnnHandle_t handle, const ConvolutionProblem& problem,
                                   const ConvolutionRest& rest) {
  // A plan that is remembered is not timed, and needs no operands.
  const auto kept = std::make_shared<std::unique_ptr<Operands>>();
  return [&stream, handle, problem, rest, kept](const Convolution& convolution) {
    if (!*kept) *kept = std::make_unique<Operands>(stream, problem);
    const Operands& operands = **kept;
    const DeviceMemory workspace((*kept)->count, static_cast<std::size_t>(convolution.workspace_bytes()));
    ConvolutionBuffers buffers{
        operands.x.data(),      nullptr,         operands.bias.data(), operands.residual.data(), operands.out.data(),
        operands.packed.data(), workspace.data()};
    const auto run = [&](int i) {
      buffers.w = operands.w.as<unsigned char>() + static_cast<std::size_t>(i) * weight_bytes(problem);
      convolution.run(handle, buffers);
      rest(buffers, convolution.result());
    };
    // What libraries load at the first run they may not load in a capture.
    run(0);
    return replayed_seconds(stream, operands.runs, run);
  };
}

}  // namespace dpm::cuda
