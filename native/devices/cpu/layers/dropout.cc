#include "backend/dropout_math.h"
#include "backend/node.h"
#include "devices/cpu/layers/layer.h"
#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

class DropoutLayer : public Layer {
 public:
  explicit DropoutLayer(const dpm_node& node) : operands_(node), dropout_(dropout_of(dropout_attributes_of(node))) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView bytes = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      const DropoutSample sample = dropout_sample([&](int i) { return bytes.sample(n)[i * bytes.channel_stride]; });
      for (int c = 0; c < in.channels; ++c) {
        apply(sample, static_cast<std::uint32_t>(c * in.pixels()), range, in.sample(n) + c * in.channel_stride,
              in.pixel_stride, out.sample(n) + c * out.channel_stride, out.pixel_stride);
      }
    });
  }

 private:
  /// Computes pixels of a channel whose first element has number `first`.
  void apply(const DropoutSample& sample, std::uint32_t first, Range range, const float* in, std::ptrdiff_t in_stride,
             float* out, std::ptrdiff_t out_stride) const {
    PhiloxWords words{};
    for (int p = range.first; p < range.last; ++p) {
      const std::uint32_t element = first + static_cast<std::uint32_t>(p);
      if (p == range.first || element % 4 == 0) words = dropout_words(dropout_, sample, element / 4);
      out[p * out_stride] = in[p * in_stride] * dropout_factor(dropout_, words.word[element % 4]);
    }
  }

  Operands operands_;
  Dropout dropout_;
};

}  // namespace

std::unique_ptr<Layer> make_dropout(const LayerFactory& /*factory*/, const dpm_node& node) {
  return std::make_unique<DropoutLayer>(node);
}

}  // namespace dpm::cpu
