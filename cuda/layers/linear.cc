#include "cuda/kernels/linear.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class LinearLayer : public Layer {
 public:
  LinearLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(convolution_of(node)),
        shape_{factory.value(output_of(node)).shape.channels, factory.value(input_of(node, 0)).shape.channels},
        weight_(factory.weights(node, shape_)) {
    if (node.bias_count > 0) {
      bias_ = factory.vectors(node.biases, node.bias_count, static_cast<std::size_t>(shape_.out_channels));
    }
  }

  void run(const RunContext& context) const override {
    const Map<const T> x = context.map<const T>(operands_.input(0));
    const Map<T> y = context.map<T>(operands_.output());
    LinearArguments<T> a{};
    a.x = x.data;
    a.x_stride = x.sample_stride;
    a.weight = address<T>(weight_);
    a.bias = address<float>(bias_);
    a.y = y.data;
    a.y_stride = y.sample_stride;
    a.batch = context.batch;
    a.inputs = shape_.in_channels;
    a.outputs = shape_.out_channels;
    a.scale = attributes_.scale;
    a.silu = attributes_.silu != 0;
    linear(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_convolution_attributes attributes_;
  PackedShape shape_;
  Packed weight_;
  Packed bias_;
};

}  // namespace

std::unique_ptr<Layer> make_linear(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<LinearLayer>(factory, node);
}

}  // namespace dpm::cuda
