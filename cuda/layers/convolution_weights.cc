#include "cuda/kernels/convolution_weights.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// The gradient of a convolution's weights, over the rows of the samples alone: those that pad a batch have none.
template <typename T>
class ConvolutionWeightsLayer : public Layer {
 public:
  ConvolutionWeightsLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(convolution_of(node)),
        in_(factory.value(input_of(node, 0)).shape),
        out_(factory.value(input_of(node, 1)).shape) {}

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    return static_cast<std::size_t>(convolution_weights_workspace(shape(batch))) * sizeof(float);
  }

  void run(const RunContext& context) const override {
    ConvolutionWeightsArguments<T> a{};
    a.shape = shape(context.samples);
    a.x = context.map<const T>(operands_.input(0));
    a.d = context.map<const T>(operands_.input(1));
    a.workspace = static_cast<float*>(context.scratch);
    a.sum = context.sum(operands_.output());
    convolution_weights(a, context.stream);
  }

 private:
  [[nodiscard]] ConvolutionWeightsShape shape(int rows) const {
    return {rows,       in_.height,    in_.width,          in_.channels,       out_.height,
            out_.width, out_.channels, attributes_.kernel, attributes_.stride, attributes_.pad_before};
  }

  Operands operands_;
  dpm_convolution_attributes attributes_;
  dpm_value in_;
  dpm_value out_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution_weights(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConvolutionWeightsLayer>(factory, node);
}

}  // namespace dpm::cuda
