#include "cuda/products/random_numbers.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Period of the random numbers, a prime number, so that no two samples of a batch are equal.
constexpr std::size_t kPeriod = 524287;

/// Returns numbers between -amplitude and amplitude: zeros would switch fewer transistors, and let the GPU's clock
/// rise.
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

}  // namespace

void fill_randomly(const Stream& stream, const DeviceMemory& memory, DType dtype, float amplitude) {
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

}  // namespace dpm::cuda
