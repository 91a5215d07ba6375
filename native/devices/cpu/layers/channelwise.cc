// Operations that multiply and add per channel, activations, and sums of maps, where no pass could fuse them.
#include "backend/constant.h"
#include "devices/cpu/layers/pixel_blocks.h"

namespace dpm::cpu {
namespace {

/// Computes y = x * a[c] + b[c]: bias, channel vector, scale and shift, affine, SiLU.
class ChannelAffine : public Layer {
 public:
  ChannelAffine(const LayerFactory& factory, const dpm_node& node)
      : op_(static_cast<dpm_op>(node.op)), operands_(node) {
    if (op_ == DPM_OP_AFFINE) affine_ = affine_of(node);
    channels_ = factory.values[output_of(node)].shape.channels;
    if (node.op == DPM_OP_BIAS) bias_ = factory.packing.vectors(node.biases, 1);
  }

  [[nodiscard]] std::size_t scratch(int batch, int /*threads*/) const override {
    return static_cast<std::size_t>(batch) * 2 * static_cast<std::size_t>(channels_);
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for (int n = 0; n < context.batch; ++n) fill_coefficients(context, n);
    for_pixel_blocks(context, in, [&](int n, Range range) {
      const float* a = coefficients(context, n);
      if (in.channel_stride != 1 || out.channel_stride != 1) {
        apply_strided(in, out, n, range, a);
        return;
      }
      context.device.isa.channel_affine(in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                                        out.sample(n) + range.first * out.pixel_stride, out.pixel_stride,
                                        range.last - range.first, channels_, a, a + channels_, op_ == DPM_OP_SILU);
    });
  }

 private:
  [[nodiscard]] float* coefficients(const RunContext& context, int n) const {
    return context.scratch + static_cast<std::ptrdiff_t>(2 * n) * channels_;
  }

  void fill_coefficients(const RunContext& context, int n) const {
    float* a = coefficients(context, n);
    float* b = a + channels_;
    const float* vector = operands_.input(1) >= 0 ? context.map(operands_.input(1)).sample(n) : nullptr;
    for (int c = 0; c < channels_; ++c) {
      a[c] = affine_.scale;
      b[c] = affine_.shift;
      if (op_ == DPM_OP_BIAS) b[c] = bias_->floats()[c];
      if (op_ == DPM_OP_CHANNEL_ADD) b[c] = vector[c];
      if (op_ == DPM_OP_SCALE_SHIFT) {
        a[c] = 1.0F + vector[c];
        b[c] = vector[channels_ + c];
      }
    }
  }

  /// Handles the network's own input and output, whose channels are not adjacent.
  void apply_strided(const MapView& in, const MapView& out, int n, Range range, const float* a) const {
    for (int p = range.first; p < range.last; ++p) {
      for (int c = 0; c < channels_; ++c) {
        out.sample(n)[p * out.pixel_stride + c * out.channel_stride] =
            in.sample(n)[p * in.pixel_stride + c * in.channel_stride] * a[c] + a[channels_ + c];
      }
    }
  }

  dpm_op op_;
  Operands operands_;
  dpm_affine_attributes affine_{1.0F, 0.0F};
  Packed bias_;
  int channels_ = 0;
};

/// Activations other than SiLU.
class Activation : public Layer {
 public:
  explicit Activation(const dpm_node& node) : kind_(activation_of(node)), operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      context.device.isa.activation(kind_, in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                                    out.sample(n) + range.first * out.pixel_stride, out.pixel_stride,
                                    range.last - range.first, in.channels);
    });
  }

 private:
  dpm_activation kind_;
  Operands operands_;
};

/// Computes the first half of the channels times the GELU of the second.
class Geglu : public Layer {
 public:
  explicit Geglu(const dpm_node& node) : operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      const float* values = in.sample(n) + range.first * in.pixel_stride;
      context.device.isa.geglu(values, values + out.channels, in.pixel_stride,
                               out.sample(n) + range.first * out.pixel_stride, out.pixel_stride,
                               range.last - range.first, out.channels);
    });
  }

 private:
  Operands operands_;
};

/// Computes the cotangents of the values and of the gates.
class GegluBackward : public Layer {
 public:
  explicit GegluBackward(const dpm_node& node) : operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView d = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      const float* values = in.sample(n) + range.first * in.pixel_stride;
      context.device.isa.geglu_backward(
          values, values + d.channels, in.pixel_stride, d.sample(n) + range.first * d.pixel_stride, d.pixel_stride,
          out.sample(n) + range.first * out.pixel_stride, out.pixel_stride, range.last - range.first, d.channels);
    });
  }

 private:
  Operands operands_;
};

/// Computes f'(x) d.
class ActivationBackward : public Layer {
 public:
  explicit ActivationBackward(const dpm_node& node) : kind_(activation_of(node)), operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView given = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      context.device.isa.activation_backward(kind_, in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                                             given.sample(n) + range.first * given.pixel_stride, given.pixel_stride,
                                             out.sample(n) + range.first * out.pixel_stride, out.pixel_stride,
                                             range.last - range.first, in.channels);
    });
  }

 private:
  dpm_activation kind_;
  Operands operands_;
};

/// Adds a table of a number per channel and pixel, stored like maps with adjacent channels.
class Position : public Layer {
 public:
  Position(const LayerFactory& factory, const dpm_node& node) : operands_(node) {
    const dpm_value& shape = factory.values[output_of(node)].shape;
    const auto channels = static_cast<std::size_t>(shape.channels);
    const std::size_t bytes = element_count(factory.graph.constants[node.biases[0]]) * sizeof(float);
    const auto pack = [channels](std::span<const WeightElements> tables, float* to) {
      // A table is never transposed, so its elements lie in row-major order.
      const float* elements = tables[0].first;
      const std::size_t pixels = tables[0].size() / channels;
      for (std::size_t c = 0; c < channels; ++c) {
        for (std::size_t p = 0; p < pixels; ++p) to[p * channels + c] = elements[c * pixels + p];
      }
    };
    table_ = factory.packing.get(WeightOrder::kPixels, node.biases, 1, bytes, pack);
  }

  void run(const RunContext& context) const override {
    const MapView in = context.map(operands_.input(0));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, in, [&](int n, Range range) {
      context.device.isa.add(in.sample(n) + range.first * in.pixel_stride, in.pixel_stride,
                             table_->floats() + static_cast<std::ptrdiff_t>(range.first) * in.channels, in.channels,
                             out.sample(n) + range.first * out.pixel_stride, out.pixel_stride, range.last - range.first,
                             in.channels);
    });
  }

 private:
  Operands operands_;
  Packed table_;
};

class Add : public Layer {
 public:
  explicit Add(const dpm_node& node) : operands_(node) {}

  void run(const RunContext& context) const override {
    const MapView a = context.map(operands_.input(0));
    const MapView b = context.map(operands_.input(1));
    const MapView out = context.map(operands_.output());
    for_pixel_blocks(context, a, [&](int n, Range range) {
      context.device.isa.add(a.sample(n) + range.first * a.pixel_stride, a.pixel_stride,
                             b.sample(n) + range.first * b.pixel_stride, b.pixel_stride,
                             out.sample(n) + range.first * out.pixel_stride, out.pixel_stride, range.last - range.first,
                             a.channels);
    });
  }

 private:
  Operands operands_;
};

}  // namespace

std::unique_ptr<Layer> make_activation_backward(const LayerFactory& /*factory*/, const dpm_node& node) {
  return std::make_unique<ActivationBackward>(node);
}

std::unique_ptr<Layer> make_geglu(const LayerFactory& /*factory*/, const dpm_node& node) {
  if (node.op == DPM_OP_GEGLU_BACKWARD) return std::make_unique<GegluBackward>(node);
  return std::make_unique<Geglu>(node);
}

std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_ADD) return std::make_unique<Add>(node);
  if (node.op == DPM_OP_POSITION) return std::make_unique<Position>(factory, node);
  if (node.op == DPM_OP_ACTIVATION) return std::make_unique<Activation>(node);
  return std::make_unique<ChannelAffine>(factory, node);
}

}  // namespace dpm::cpu
