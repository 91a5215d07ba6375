// Mean and deviation of a norm's groups: float32 per chunk of pixels, merged in double (Chan's formula).
#pragma once

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

class GroupStatistics {
 public:
  // Chunk size, fixed so that the result does not depend on the number of threads.
  static constexpr int kPixels = 32;

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

  /// Computes the floats of each of the context's rows of `map`, `stride` apart, from `partial` on.
  void compute(const RunContext& context, const MapView& map, float* partial, std::size_t stride) const;

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
