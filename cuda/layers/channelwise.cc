#include "cuda/kernels/channelwise.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

Activation activation_in(const dpm_node& node) {
  if (node.op == DPM_OP_SILU) return Activation::kSilu;
  if (node.op != DPM_OP_ACTIVATION) return Activation::kNone;
  switch (activation_of(node)) {
    case DPM_ACTIVATION_MISH:
      return Activation::kMish;
    case DPM_ACTIVATION_GELU:
      return Activation::kGelu;
    default:
      return Activation::kRelu;
  }
}

/// Bias, channel vector, scale and shift, affine, activations, sum, where no pass could fuse them.
template <typename T>
class ChannelwiseLayer : public Layer {
 public:
  ChannelwiseLayer(const LayerFactory& factory, const dpm_node& node)
      : op_(static_cast<dpm_op>(node.op)),
        activation_(activation_in(node)),
        operands_(node),
        shape_(factory.value(output_of(node)).shape) {
    if (op_ == DPM_OP_AFFINE) affine_ = affine_of(node);
    if (op_ == DPM_OP_BIAS) bias_ = factory.floats(node.biases, 1, static_cast<std::size_t>(shape_.channels));
  }

  void run(const RunContext& context) const override {
    const Map<const T> second = context.map<const T>(operands_.input(1));
    ChannelwiseArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = shape_.channels;
    a.bias = bias_.as<float>();
    a.scale = affine_.scale;
    a.shift = affine_.shift;
    a.activation = activation_;
    if (op_ == DPM_OP_ADD) a.residual = second;
    if (op_ == DPM_OP_CHANNEL_ADD) {
      a.vector = second.data;
      a.vector_stride = second.sample_stride;
    }
    if (op_ == DPM_OP_SCALE_SHIFT) {
      a.scale_shift = second.data;
      a.scale_shift_stride = second.sample_stride;
    }
    channelwise(a, context.stream);
  }

 private:
  dpm_op op_;
  Activation activation_;
  Operands operands_;
  dpm_affine_attributes affine_{1.0F, 0.0F};
  dpm_value shape_;
  DeviceMemory bias_;
};

/// Copies both maps side by side, where no pass could let them be written there.
template <typename T>
class ConcatLayer : public Layer {
 public:
  ConcatLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        shape_(factory.value(output_of(node)).shape),
        first_channels_(factory.value(input_of(node, 0)).shape.channels) {}

  void run(const RunContext& context) const override {
    copy(context, operands_.input(0), 0, first_channels_);
    copy(context, operands_.input(1), first_channels_, shape_.channels - first_channels_);
  }

 private:
  void copy(const RunContext& context, int input, int first_channel, int channels) const {
    ChannelwiseArguments<T> a{};
    a.x = context.map<const T>(input);
    a.y = context.map<T>(operands_.output());
    a.y.data += first_channel;
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = channels;
    a.scale = 1;
    channelwise(a, context.stream);
  }

  Operands operands_;
  dpm_value shape_;
  int first_channels_;
};

}  // namespace

std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ChannelwiseLayer>(factory, node);
}

std::unique_ptr<Layer> make_concat(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConcatLayer>(factory, node);
}

}  // namespace dpm::cuda
