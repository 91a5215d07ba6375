#include "cuda/kernels/group_norm.h"

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class GroupNormLayer : public Layer {
 public:
  GroupNormLayer(const LayerFactory& factory, const dpm_node& node)
      : node_(node), shape_(factory.value(node.output).shape) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    gamma_ = factory.floats(node.weights, 1, channels);
    beta_ = factory.floats(node.biases, 1, channels);
    node_.weights = node_.biases = nullptr;
  }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    return static_cast<std::size_t>(
               group_norm_workspace(batch, shape_.height * shape_.width, shape_.channels, node_.groups)) *
           sizeof(float);
  }

  void run(const RunContext& context) const override {
    const Map<const T> scale_shift = context.map<const T>(node_.inputs[1]);
    const Map<const T> vector = context.map<const T>(node_.inputs[2]);
    GroupNormArguments<T> a{};
    a.x = context.map<const T>(node_.inputs[0]);
    a.y = context.map<T>(node_.output);
    a.batch = context.batch;
    a.pixels = shape_.height * shape_.width;
    a.channels = shape_.channels;
    a.groups = node_.groups;
    a.epsilon = node_.epsilon;
    a.gamma = gamma_.as<float>();
    a.beta = beta_.as<float>();
    a.scale_shift = scale_shift.data;
    a.scale_shift_stride = scale_shift.sample_stride;
    a.vector = vector.data;
    a.vector_stride = vector.sample_stride;
    a.silu = node_.silu != 0;
    a.workspace = static_cast<float*>(context.scratch);
    group_norm(a, context.stream);
  }

 private:
  dpm_node node_;
  dpm_value shape_;
  DeviceMemory gamma_;
  DeviceMemory beta_;
};

}  // namespace

std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<GroupNormLayer>(factory, node);
}

}  // namespace dpm::cuda
