#include "devices/cpu/peak.h"

#include <chrono>
#include <cstring>

namespace dpm::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Returns the best of several runs: a peak is the rate without disturbances.
template <typename Body>
double best_seconds(int runs, const Body& body) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = Clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

double measure_gflops(Device& device) {
  constexpr int kRounds = 1 << 20;
  const IsaKernels& isa = device.isa;
  const int floats = isa.sums;
  const int threads = device.pool.threads();
  AlignedBuffer sums(static_cast<std::size_t>(threads) * static_cast<std::size_t>(floats) * sizeof(float));
  const double seconds = best_seconds(8, [&] {
    std::fill_n(sums.floats(), static_cast<std::size_t>(threads) * static_cast<std::size_t>(floats), 0.5F);
    device.pool.parallel_for(
        threads, [&](std::int64_t task, int /*thread*/) { isa.multiply_adds(kRounds, sums.floats() + task * floats); });
  });
  return 2.0 * threads * static_cast<double>(floats) * kRounds / seconds * 1e-9;
}

double measure_copy_gigabytes(Device& device) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  constexpr std::size_t kPart = std::size_t{1} << 20;
  AlignedBuffer source(kBytes);
  AlignedBuffer target(kBytes);
  std::memset(source.data(), 1, kBytes);
  const double seconds = best_seconds(4, [&] {
    device.pool.parallel_for(kBytes / kPart, [&](std::int64_t task, int /*thread*/) {
      const std::size_t offset = static_cast<std::size_t>(task) * kPart;
      std::memcpy(static_cast<char*>(target.data()) + offset, static_cast<char*>(source.data()) + offset, kPart);
    });
  });
  return 2.0 * static_cast<double>(kBytes) / seconds * 1e-9;
}

}  // namespace dpm::cpu
