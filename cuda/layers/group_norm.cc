#include "cuda/kernels/group_norm.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class GroupNormLayer : public Layer {
 public:
  GroupNormLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), attributes_(group_norm_of(node)), shape_(factory.value(output_of(node)).shape) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    gamma_ = factory.floats(node.weights, 1, channels);
    beta_ = factory.floats(node.biases, 1, channels);
    if (node.bias_count > 1) added_ = factory.floats(node.biases + 1, 1, channels);
    norm_ = {operands_.input(0), operands_.input(1), operands_.input(2),  gamma_.as<float>(),   beta_.as<float>(),
             added_.as<float>(), attributes_.groups, attributes_.epsilon, attributes_.silu != 0};
  }

  [[nodiscard]] const NormOperands* norm() const override { return &norm_; }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    return static_cast<std::size_t>(
               group_norm_workspace(batch, shape_.height * shape_.width, shape_.channels, attributes_.groups)) *
           sizeof(float);
  }

  void run(const RunContext& context) const override {
    const Map<const T> scale_shift = context.map<const T>(operands_.input(1));
    const Map<const T> vector = context.map<const T>(operands_.input(2));
    GroupNormArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = shape_.channels;
    a.groups = attributes_.groups;
    a.epsilon = attributes_.epsilon;
    a.gamma = gamma_.as<float>();
    a.beta = beta_.as<float>();
    a.scale_shift = scale_shift.data;
    a.scale_shift_stride = scale_shift.sample_stride;
    a.bias = added_.as<float>();
    a.vector = vector.data;
    a.vector_stride = vector.sample_stride;
    a.silu = attributes_.silu != 0;
    a.workspace = static_cast<float*>(context.scratch);
    group_norm(a, context.stream);
  }

 private:
  Operands operands_;
  dpm_group_norm_attributes attributes_;
  dpm_value shape_;
  DeviceMemory gamma_;
  DeviceMemory beta_;
  /// The bias of the convolution that the norm reads.
  DeviceMemory added_;
  NormOperands norm_;
};

}  // namespace

std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<GroupNormLayer>(factory, node);
}

}  // namespace dpm::cuda
