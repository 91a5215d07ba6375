// Mean and deviation of a norm's groups: float32 per chunk of pixels, merged in double (Chan's formula).
#pragma once

#include <algorithm>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

class GroupStatistics {
 public:
  // Chunk size, fixed so that the result does not depend on the number of threads.
  static constexpr int kPixels = 32;
  /// Number of floats of a task, about: enough that drawing it costs little.
  static constexpr int kTaskFloats = 4 * 1024;

  GroupStatistics(const dpm_group_norm_attributes& attributes, const dpm_value& shape)
      : channels_(shape.channels),
        pixels_(shape.height * shape.width),
        group_(shape.channels / attributes.groups),
        epsilon_(attributes.epsilon) {}

  [[nodiscard]] int chunks() const { return divide_up(pixels_, kPixels); }
  /// Number of pixels of a chunk.
  [[nodiscard]] int pixels_of(int chunk) const { return std::min(kPixels, pixels_ - chunk * kPixels); }
  /// Number of floats of one sample: mean and sum of squared deviations of every chunk and channel.
  [[nodiscard]] std::size_t floats() const {
    return static_cast<std::size_t>(2 * chunks()) * static_cast<std::size_t>(channels_);
  }

  /// Calls `body(n, chunk)` for all chunks of some samples.
  template <typename Body>
  void for_chunks(ThreadPool& pool, Range samples, const Body& body) const {
    const int blocks = divide_up(chunks(), std::max(1, kTaskFloats / (kPixels * channels_)));
    const std::int64_t tasks = static_cast<std::int64_t>(samples.last - samples.first) * blocks;
    pool.parallel_for(tasks, [&](std::int64_t task, int /*thread*/) {
      const Range some = part_of(chunks(), blocks, static_cast<int>(task % blocks));
      for (int chunk = some.first; chunk < some.last; ++chunk) {
        body(samples.first + static_cast<int>(task / blocks), chunk);
      }
    });
  }

  /// Computes the floats of some samples of `map`, `stride` apart from sample 0's `partial` on.
  void compute(const IsaKernels& isa, ThreadPool& pool, Range samples, const MapView& map, float* partial,
               std::size_t stride) const;

  struct Moments {
    double mean;
    double inverse_deviation;
  };
  /// Returns the moments of one group from the floats of a sample.
  [[nodiscard]] Moments moments(const float* partial, int group) const;

 private:
  int channels_;
  int pixels_;
  int group_;
  float epsilon_;
};

}  // namespace dpm::cpu
