#include "cpu/peak.h"

#include <chrono>
#include <cstring>

namespace dpm::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// The best of several runs: a peak is what remains when nothing disturbs.
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

double measure_gflops(dpm_device& device) {
  constexpr int kDepth = 128;
  constexpr int kRepeats = 4000;
  const IsaKernels& isa = device.isa;
  const int columns = 2 * isa.width;
  AlignedBuffer operands(static_cast<std::size_t>(isa.rows + columns) * kDepth * sizeof(float));
  std::fill_n(operands.floats(), static_cast<std::size_t>(isa.rows + columns) * kDepth, 1e-3F);
  const int threads = device.pool.threads();
  const std::ptrdiff_t origin = 0;
  AlignedBuffer results(static_cast<std::size_t>(threads * isa.rows * columns) * sizeof(float));
  const double seconds = best_seconds(12, [&] {
    device.pool.parallel_for(threads, [&](std::int64_t task, int /*thread*/) {
      TileArguments tile{};
      tile.input = operands.floats();
      tile.row_stride = kDepth;
      tile.taps = &origin;
      tile.tap_count = 1;
      tile.depth = kDepth;
      tile.panel = operands.floats() + static_cast<std::ptrdiff_t>(isa.rows) * kDepth;
      tile.rows = isa.rows;
      tile.vectors = 2;
      tile.columns = columns;
      tile.scale = 1;
      tile.out = results.floats() + task * isa.rows * columns;
      tile.out_row_stride = columns;
      tile.out_channel_stride = 1;
      for (int i = 0; i < kRepeats; ++i) isa.tile(tile);
    });
  });
  return 2.0 * threads * kRepeats * kDepth * isa.rows * columns / seconds * 1e-9;
}

double measure_copy_gigabytes(dpm_device& device) {
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
