// The derivative of a weighted sum of squared differences: the cotangent from which a regression's gradients start.
#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {
namespace {

class SquareScore : public Layer {
 public:
  explicit SquareScore(const dpm_node& node) : operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView map = context.map(operands_.input(0));
    const MapView target = context.map(operands_.input(1));
    const MapView weight = context.map(operands_.input(2));
    const MapView out = context.map(operands_.output());
    const bool squares = operands_.input(3) >= 0;
    const MapView compared = squares ? context.map(operands_.input(3)) : target;
    context.pool.parallel_for(context.batch, [&](std::int64_t row, int /*thread*/) {
      const auto n = static_cast<int>(row);
      const float twice = 2 * *weight.sample(n);
      for (std::ptrdiff_t p = 0; p < map.pixels(); ++p) {
        for (std::ptrdiff_t c = 0; c < map.channels; ++c) {
          const auto at = [&](const MapView& view) -> float& {
            return view.sample(n)[p * view.pixel_stride + c * view.channel_stride];
          };
          const float difference = at(target) - at(compared);
          at(out) = twice * (at(map) - (squares ? difference * difference : at(target)));
        }
      }
    });
  }

 private:
  Operands operands_;
};

}  // namespace

std::unique_ptr<Layer> make_square_score(const LayerFactory& /*factory*/, const dpm_node& node) {
  return std::make_unique<SquareScore>(node);
}

}  // namespace dpm::cpu
