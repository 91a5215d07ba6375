// Layer normalisation: each pixel's channels by their own mean and deviation.
#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

class LayerNorm : public Layer {
 public:
  LayerNorm(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        epsilon_(layer_norm_of(node).epsilon),
        gamma_(factory.packing.vectors(node.weights, 1)),
        beta_(factory.packing.vectors(node.biases, 1)) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      context.device.isa.layer_norm(in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                                    out.sample(n) + range.first * out.pixel_stride, out.pixel_stride,
                                    range.last - range.first, in.channels, gamma_->floats(), beta_->floats(), epsilon_);
    });
  }

 private:
  Operands operands_;
  float epsilon_;
  Packed gamma_;
  Packed beta_;
};

}  // namespace

std::unique_ptr<Layer> make_layer_norm(const LayerFactory& factory, const dpm_node& node) {
  return std::make_unique<LayerNorm>(factory, node);
}

}  // namespace dpm::cpu
