#include "cuda/kernels/layer_norm.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class LayerNormLayer : public Layer {
 public:
  LayerNormLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), epsilon_(layer_norm_of(node).epsilon), shape_(factory.value(output_of(node)).shape) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    gamma_ = factory.vectors(node.weights, 1, channels);
    beta_ = factory.vectors(node.biases, 1, channels);
  }

  void run(const RunContext& context) const override {
    LayerNormArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    a.gamma = address<float>(gamma_);
    a.beta = address<float>(beta_);
    a.epsilon = epsilon_;
    layer_norm(a, context.stream);
  }

 private:
  Operands operands_;
  float epsilon_;
  dpm_value shape_;
  Packed gamma_;
  Packed beta_;
};

template <typename T>
class LayerNormBackwardLayer : public Layer {
 public:
  LayerNormBackwardLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        epsilon_(layer_norm_of(node).epsilon),
        shape_(factory.value(output_of(node)).shape),
        gamma_(factory.vectors(node.weights, 1, static_cast<std::size_t>(shape_.channels))) {}

  void run(const RunContext& context) const override {
    LayerNormBackwardArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.d = context.map<const T>(operands_.input(1));
    a.y = context.map<T>(operands_.output());
    if (operands_.outputs() > 1) a.products = context.map<T>(operands_.output(1));
    context.fill_sizes(a, shape_);
    a.gamma = address<float>(gamma_);
    a.epsilon = epsilon_;
    layer_norm_backward(a, context.stream);
  }

 private:
  Operands operands_;
  float epsilon_;
  dpm_value shape_;
  Packed gamma_;
};

}  // namespace

std::unique_ptr<Layer> make_layer_norm(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_LAYER_NORM_BACKWARD) return make_stored<LayerNormBackwardLayer>(factory, node);
  return make_stored<LayerNormLayer>(factory, node);
}

}  // namespace dpm::cuda
