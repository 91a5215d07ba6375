#include "cuda/peak.h"

#include <algorithm>

#include "cuda/kernels/peak.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{256} << 20;
constexpr int kRuns = 10;
constexpr unsigned kThreads = 256;
constexpr unsigned kBlocksPerProcessor = 8;
constexpr int kRepeats = 4096;

/// Measures the least time of several runs.
template <typename Queue>
double best_seconds(const Stream& stream, const Queue& queue) {
  queue();
  const Event start;
  const Event end;
  double best = 1e9;
  for (int i = 0; i < kRuns; ++i) {
    start.record(stream);
    queue();
    end.record(stream);
    best = std::min(best, end.seconds_since(start));
  }
  return best;
}

}  // namespace

double copy_gigabytes(Device& device) {
  const DeviceMemory from = device.allocate(kCopyBytes);
  const DeviceMemory to = device.allocate(kCopyBytes);
  const double seconds = best_seconds(device.stream, [&] {
    check_cuda(cudaMemcpyAsync(to.data(), from.data(), kCopyBytes, cudaMemcpyDeviceToDevice, device.stream.get()),
               "copying");
  });
  return 2 * static_cast<double>(kCopyBytes) / seconds * 1e-9;
}

double float_gigaflops(Device& device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device.settings.index), "describing the card");
  const unsigned blocks = static_cast<unsigned>(properties.multiProcessorCount) * kBlocksPerProcessor;
  const DeviceMemory sink = device.allocate(std::size_t{blocks} * kThreads * sizeof(float));
  double multiply_adds = 0;
  const double seconds = best_seconds(device.stream, [&] {
    multiply_adds = multiply_add_peak(sink.as<float>(), blocks, kRepeats, device.stream.get());
    check_launches("multiplying");
  });
  return 2 * multiply_adds / seconds * 1e-9;
}

}  // namespace dpm::cuda
