#include "cuda/kernels/channelwise.h"

#include "cuda/kernels/activation.h"
#include "cuda/kernels/activation_backward.h"
#include "cuda/kernels/geglu.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

Activation activation_in(const dpm_node& node) {
  if (node.op == DPM_OP_SILU) return Activation::kSilu;
  if (node.op != DPM_OP_ACTIVATION && node.op != DPM_OP_ACTIVATION_BACKWARD) return Activation::kNone;
  switch (activation_of(node)) {
    case DPM_ACTIVATION_MISH:
      return Activation::kMish;
    case DPM_ACTIVATION_GELU:
      return Activation::kGelu;
    case DPM_ACTIVATION_SILU:
      return Activation::kSilu;
    case DPM_ACTIVATION_QUICK_GELU:
      return Activation::kQuickGelu;
    case DPM_ACTIVATION_TANH:
      return Activation::kTanh;
    default:
      return Activation::kRelu;
  }
}

/// Bias, table of positions, channel vector, scale and shift, affine, activations and sums, where no pass could fuse
/// them.
template <typename T>
class ChannelwiseLayer : public Layer {
 public:
  ChannelwiseLayer(const LayerFactory& factory, const dpm_node& node)
      : op_(static_cast<dpm_op>(node.op)),
        activation_(activation_in(node)),
        operands_(node),
        shape_(factory.value(output_of(node)).shape) {
    if (op_ == DPM_OP_AFFINE) affine_ = affine_of(node);
    if (op_ == DPM_OP_BIAS) bias_ = factory.vectors(node.biases, 1, static_cast<std::size_t>(shape_.channels));
    if (op_ == DPM_OP_POSITION) bias_ = factory.positions(node);
  }

  void run(const RunContext& context) const override {
    const Map<const T> second = context.map<const T>(operands_.input(1));
    ChannelwiseArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    a.bias = address<float>(bias_);
    a.bias_pixel_stride = op_ == DPM_OP_POSITION ? shape_.channels : 0;
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
  Packed bias_;
};

/// Copies `channels` channels of a map.
template <typename T>
void copy(const RunContext& context, const Map<const T>& x, const Map<T>& y, int pixels, int channels) {
  ChannelwiseArguments<T> a{};
  a.x = x;
  a.y = y;
  a.batch = context.batch;
  a.pixels = pixels;
  a.channels = channels;
  a.scale = 1;
  channelwise(a, context.stream);
}

/// Copies both maps side by side, where no pass could make their producers write there.
template <typename T>
class ConcatLayer : public Layer {
 public:
  ConcatLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        shape_(factory.value(output_of(node)).shape),
        first_channels_(factory.value(input_of(node, 0)).shape.channels) {}

  void run(const RunContext& context) const override {
    const int pixels = shape_.height * shape_.width;
    Map<T> y = context.map<T>(operands_.output());
    copy(context, context.map<const T>(operands_.input(0)), y, pixels, first_channels_);
    y.data += first_channels_;
    copy(context, context.map<const T>(operands_.input(1)), y, pixels, shape_.channels - first_channels_);
  }

 private:
  Operands operands_;
  dpm_value shape_;
  int first_channels_;
};

/// Copies a range of channels, where no pass could make the readers read it in place.
template <typename T>
class ViewLayer : public Layer {
 public:
  ViewLayer(const LayerFactory& /*factory*/, const dpm_node& node) : operands_(node), attributes_(view_of(node)) {}

  void run(const RunContext& context) const override {
    Map<const T> x = context.map<const T>(operands_.input(0));
    x.data += attributes_.first;
    const Map<T> y = context.map<T>(operands_.output());
    copy(context, x, y, attributes_.height * attributes_.width, attributes_.channels);
  }

 private:
  Operands operands_;
  dpm_view_attributes attributes_;
};

/// Activations that are kernels of their own.
template <typename T>
class RareActivationLayer : public Layer {
 public:
  RareActivationLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), kind_(activation_of(node)), shape_(factory.value(output_of(node)).shape) {}

  void run(const RunContext& context) const override {
    ActivationArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    kind_ == DPM_ACTIVATION_TANH ? tanh_of(a, context.stream) : quick_gelu(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_activation kind_;
  dpm_value shape_;
};

template <typename T>
class GegluLayer : public Layer {
 public:
  GegluLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), shape_(factory.value(output_of(node)).shape) {}

  void run(const RunContext& context) const override {
    GegluArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    geglu(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_value shape_;
};

template <typename T>
class GegluBackwardLayer : public Layer {
 public:
  GegluBackwardLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), shape_(factory.value(input_of(node, 1)).shape) {}

  void run(const RunContext& context) const override {
    GegluBackwardArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.d = context.map<const T>(operands_.input(1));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    geglu_backward(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_value shape_;
};

template <typename T>
class ActivationBackwardLayer : public Layer {
 public:
  ActivationBackwardLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), activation_(activation_in(node)), shape_(factory.value(output_of(node)).shape) {}

  void run(const RunContext& context) const override {
    ActivationBackwardArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.d = context.map<const T>(operands_.input(1));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    a.activation = activation_;
    activation_backward(a, context.stream);
  }

 private:
  Operands operands_;
  Activation activation_;
  dpm_value shape_;
};

}  // namespace

std::unique_ptr<Layer> make_channelwise(const LayerFactory& factory, const dpm_node& node) {
  const bool is_rare = node.op == DPM_OP_ACTIVATION && activation_of(node) > DPM_ACTIVATION_SILU;
  if (is_rare) return make_stored<RareActivationLayer>(factory, node);
  return make_stored<ChannelwiseLayer>(factory, node);
}

std::unique_ptr<Layer> make_concat(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConcatLayer>(factory, node);
}

std::unique_ptr<Layer> make_view(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ViewLayer>(factory, node);
}

std::unique_ptr<Layer> make_geglu(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_GEGLU_BACKWARD) return make_stored<GegluBackwardLayer>(factory, node);
  return make_stored<GegluLayer>(factory, node);
}

std::unique_ptr<Layer> make_activation_backward(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ActivationBackwardLayer>(factory, node);
}

}  // namespace dpm::cuda
