// Sums over the rows of a batch, in their order.
#include <algorithm>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

/// Number of channels that a task adds up.
constexpr int kChannels = 256;

class RowSum : public Layer {
 public:
  explicit RowSum(const dpm_node& node) : operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    float* out = context.map(operands_.output()).data;
    const int blocks = divide_up(in.channels, kChannels);
    context.pool.parallel_for(static_cast<std::int64_t>(in.pixels()) * blocks, [&](std::int64_t task, int /*thread*/) {
      const std::int64_t pixel = task / blocks;
      const Range channels = part_of(in.channels, blocks, static_cast<int>(task % blocks));
      double sums[kChannels] = {};
      for (int n = 0; n < context.batch; ++n) {
        const float* row = in.sample(n) + pixel * in.pixel_stride;
        for (int c = channels.first; c < channels.last; ++c) sums[c - channels.first] += row[c * in.channel_stride];
      }
      for (int c = channels.first; c < channels.last; ++c) {
        float& to = out[static_cast<std::ptrdiff_t>(c) * in.pixels() + pixel];
        to = static_cast<float>(to + sums[c - channels.first]);
      }
    });
  }

 private:
  Operands operands_;
};

}  // namespace

std::unique_ptr<Layer> make_row_sum(const LayerFactory& /*factory*/, const dpm_node& node) {
  return std::make_unique<RowSum>(node);
}

}  // namespace dpm::cpu
