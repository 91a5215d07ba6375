#include "cuda/kernels/group_norm_derivative.h"
#include "cuda/kernels/group_norm_sums.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// The derivative of a norm: pulls back a cotangent or pushes forward a tangent. The sums that are a second result come
/// first, because the first result may replace the cotangent.
template <typename T>
class NormDerivativeLayer : public Layer {
 public:
  NormDerivativeLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        is_backward_(node.op == DPM_OP_GROUP_NORM_BACKWARD),
        attributes_(group_norm_of(node)),
        shape_(factory.value(output_of(node)).shape),
        gamma_(factory.vectors(node.weights, 1, static_cast<std::size_t>(shape_.channels))),
        beta_(factory.vectors(node.biases, 1, static_cast<std::size_t>(shape_.channels))) {}

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    const std::int64_t floats =
        group_norm_derivative_workspace(batch, shape_.height * shape_.width, shape_.channels, attributes_.groups);
    return static_cast<std::size_t>(floats) * sizeof(float);
  }

  void run(const RunContext& context) const override {
    const Map<const T> scale_shift = context.map<const T>(operands_.input(2));
    GroupNormDerivativeArguments<T> a{};
    a.norm.x = context.map<const T>(operands_.input(0));
    a.norm.y = context.map<T>(operands_.output());
    a.norm.batch = context.batch;
    a.norm.pixels = shape_.height * shape_.width;
    a.norm.channels = shape_.channels;
    a.norm.groups = attributes_.groups;
    a.norm.epsilon = attributes_.epsilon;
    a.norm.gamma = address<float>(gamma_);
    a.norm.beta = address<float>(beta_);
    a.norm.scale_shift = scale_shift.data;
    a.norm.scale_shift_stride = scale_shift.sample_stride;
    a.norm.silu = attributes_.silu != 0;
    a.norm.workspace = static_cast<float*>(context.scratch);
    a.given = context.map<const T>(operands_.input(1));
    a.is_backward = is_backward_;
    if (operands_.outputs() > 1) {
      const Map<T> sums = context.map<T>(operands_.output(1));
      group_norm_sums(GroupNormSumsArguments<T>{a, sums.data, sums.sample_stride}, context.stream);
    }
    group_norm_derivative(a, context.stream);
  }

 private:
  Operands operands_;
  bool is_backward_;
  dpm_group_norm_attributes attributes_;
  dpm_value shape_;
  Packed gamma_;
  Packed beta_;
};

/// The cotangent of a norm's scale and shift.
template <typename T>
class NormVectorLayer : public Layer {
 public:
  NormVectorLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        channels_(factory.value(input_of(node, 0)).shape.channels / 2),
        gamma_(factory.vectors(node.weights, 1, static_cast<std::size_t>(channels_))),
        beta_(factory.vectors(node.biases, 1, static_cast<std::size_t>(channels_))) {}

  void run(const RunContext& context) const override {
    const Map<const T> sums = context.map<const T>(operands_.input(0));
    const Map<T> y = context.map<T>(operands_.output());
    group_norm_vector(
        GroupNormVectorArguments<T>{sums.data, sums.sample_stride, address<float>(gamma_), address<float>(beta_),
                                    y.data, y.sample_stride, context.batch, channels_},
        context.stream);
  }

 private:
  Operands operands_;
  int channels_;
  Packed gamma_;
  Packed beta_;
};

}  // namespace

std::unique_ptr<Layer> make_norm_vector(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<NormVectorLayer>(factory, node);
}

std::unique_ptr<Layer> make_norm_derivative(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<NormDerivativeLayer>(factory, node);
}

}  // namespace dpm::cuda
