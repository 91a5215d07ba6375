#include "devices/cpu/layers/group_statistics.h"

#include <cmath>

namespace dpm::cpu {

void GroupStatistics::compute(const RunContext& context, const MapView& map, float* partial, std::size_t stride) const {
  const int count = chunks();
  context.pool.parallel_for(static_cast<std::int64_t>(context.batch) * count, [&](std::int64_t task, int /*thread*/) {
    const auto n = static_cast<int>(task / count);
    const auto chunk = static_cast<int>(task % count);
    float* mean = partial + static_cast<std::size_t>(n) * stride + static_cast<std::ptrdiff_t>(2 * chunk) * channels_;
    context.device.isa.channel_statistics(map.sample(n) + chunk * kPixels * map.pixel_stride, map.pixel_stride,
                                          pixels_of(chunk), channels_, mean, mean + channels_);
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
