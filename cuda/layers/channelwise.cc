#include "cuda/kernels/channelwise.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// Bias, channel vector, scale and shift, affine, SiLU, sum, where no pass could fuse them.
template <typename T>
class ChannelwiseLayer : public Layer {
 public:
  ChannelwiseLayer(const LayerFactory& factory, const dpm_node& node)
      : node_(node), shape_(factory.value(node.output).shape) {
    if (node.op == DPM_OP_BIAS) bias_ = factory.floats(node.biases, 1, static_cast<std::size_t>(shape_.channels));
    node_.weights = node_.biases = nullptr;
  }

  void run(const RunContext& context) const override {
    const Map<const T> second = context.map<const T>(node_.inputs[1]);
    ChannelwiseArguments<T> a{};
    a.x = context.map<const T>(node_.inputs[0]);
    a.y = context.map<T>(node_.output);
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = shape_.channels;
    a.bias = bias_.as<float>();
    a.scale = node_.op == DPM_OP_AFFINE ? node_.scale : 1.0F;
    a.shift = node_.op == DPM_OP_AFFINE ? node_.shift : 0.0F;
    a.silu = node_.op == DPM_OP_SILU;
    if (node_.op == DPM_OP_ADD) a.residual = second;
    if (node_.op == DPM_OP_CHANNEL_ADD) {
      a.vector = second.data;
      a.vector_stride = second.sample_stride;
    }
    if (node_.op == DPM_OP_SCALE_SHIFT) {
      a.scale_shift = second.data;
      a.scale_shift_stride = second.sample_stride;
    }
    channelwise(a, context.stream);
  }

 private:
  dpm_node node_;
  dpm_value shape_;
  DeviceMemory bias_;
};

/// Copies both maps side by side, where no pass could let them be written there.
template <typename T>
class ConcatLayer : public Layer {
 public:
  ConcatLayer(const LayerFactory& factory, const dpm_node& node)
      : node_(node),
        shape_(factory.value(node.output).shape),
        first_channels_(factory.value(node.inputs[0]).shape.channels) {}

  void run(const RunContext& context) const override {
    copy(context, node_.inputs[0], 0, first_channels_);
    copy(context, node_.inputs[1], first_channels_, shape_.channels - first_channels_);
  }

 private:
  void copy(const RunContext& context, int input, int first_channel, int channels) const {
    ChannelwiseArguments<T> a{};
    a.x = context.map<const T>(input);
    a.y = context.map<T>(node_.output);
    a.y.data += first_channel;
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = channels;
    a.scale = 1;
    channelwise(a, context.stream);
  }

  dpm_node node_;
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
