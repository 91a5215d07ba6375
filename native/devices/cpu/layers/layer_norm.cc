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

class LayerNormBackward : public Layer {
 public:
  LayerNormBackward(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), epsilon_(layer_norm_of(node).epsilon), gamma_(factory.packing.vectors(node.weights, 1)) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView d = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    const MapView products = operands_.outputs() > 1 ? context.map(operands_.output(1)) : MapView{};
    for_pixel_blocks(context, in, [&](int n, Range range) {
      const auto first = [&](const MapView& map) { return map.sample(n) + range.first * map.pixel_stride; };
      context.device.isa.layer_norm_backward({first(in), in.pixel_stride, first(d), d.pixel_stride, first(out),
                                              out.pixel_stride, products.data != nullptr ? first(products) : nullptr,
                                              products.pixel_stride, range.last - range.first, in.channels,
                                              gamma_->floats(), epsilon_});
    });
  }

 private:
  Operands operands_;
  float epsilon_;
  Packed gamma_;
};

}  // namespace

std::unique_ptr<Layer> make_layer_norm(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_LAYER_NORM_BACKWARD) return std::make_unique<LayerNormBackward>(factory, node);
  return std::make_unique<LayerNorm>(factory, node);
}

}  // namespace dpm::cpu
