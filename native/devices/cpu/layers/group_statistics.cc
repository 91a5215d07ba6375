#include "devices/cpu/layers/group_statistics.h"

#include <cmath>

namespace dpm::cpu {

void GroupStatistics::compute(const IsaKernels& isa, ThreadPool& pool, Range samples, const MapView& map,
                              float* partial, std::size_t stride) const {
  for_chunks(pool, samples, [&](int n, int chunk) {
    float* mean = partial + static_cast<std::size_t>(n) * stride + static_cast<std::ptrdiff_t>(2 * chunk) * channels_;
    isa.channel_statistics(map.sample(n) + chunk * kPixels * map.pixel_stride, map.pixel_stride, pixels_of(chunk),
                           channels_, mean, mean + channels_);
  });
}

GroupStatistics::Moments GroupStatistics::moments(const float* partial, int group) const {
  const int first = group * group_;
  double sum = 0;
  for (int chunk = 0; chunk < chunks(); ++chunk) {
    const float* mean = partial + static_cast<std::ptrdiff_t>(2 * chunk) * channels_;
    for (int c = first; c < first + group_; ++c) sum += static_cast<double>(pixels_of(chunk)) * mean[c];
  }
  const double count = static_cast<double>(pixels_) * group_;
  const double mean_of_all = sum / count;
  double squares = 0;
  for (int chunk = 0; chunk < chunks(); ++chunk) {
    const float* mean = partial + static_cast<std::ptrdiff_t>(2 * chunk) * channels_;
    for (int c = first; c < first + group_; ++c) {
      const double difference = mean[c] - mean_of_all;
      squares += mean[channels_ + c] + pixels_of(chunk) * difference * difference;
    }
  }
  return {mean_of_all, 1.0 / std::sqrt(squares / count + static_cast<double>(epsilon_))};
}

}  // namespace dpm::cpu
