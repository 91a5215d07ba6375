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
    gamma_ = factory.vectors(node.weights, 1, channels);
    beta_ = factory.vectors(node.biases, 1, channels);
    if (node.bias_count > 1) added_ = factory.vectors(node.biases + 1, 1, channels);
    norm_ = {operands_.input(0),     operands_.input(1),    operands_.input(2),
             address<float>(gamma_), address<float>(beta_), address<float>(added_),
             attributes_.groups,     attributes_.epsilon,   attributes_.silu != 0};
  }

  [[nodiscard]] const NormOperands* norm() const override { return &norm_; }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    return static_cast<std::size_t>(
               group_norm_workspace(batch, shape_.height * shape_.width, shape_.channels, attributes_.groups)) *
           sizeof(float);
  }

  /// Returns whether the norm can complete a sum; a bias or vector that is added for the statistics alone is no part of
  /// it.
  [[nodiscard]] bool completes(const RunContext& context) const override {
    return !added_ && operands_.input(2) < 0 && takes_completion(arguments(context));
  }

  void run(const RunContext& context) const override { group_norm(arguments(context), context.stream); }

 private:
  [[nodiscard]] GroupNormArguments<T> arguments(const RunContext& context) const {
    const Map<const T> scale_shift = context.map<const T>(operands_.input(1));
    const Map<const T> vector = context.map<const T>(operands_.input(2));
    GroupNormArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.y = context.map<T>(operands_.output());
    context.fill_sizes(a, shape_);
    a.groups = attributes_.groups;
    a.epsilon = attributes_.epsilon;
    a.gamma = address<float>(gamma_);
    a.beta = address<float>(beta_);
    a.scale_shift = scale_shift.data;
    a.scale_shift_stride = scale_shift.sample_stride;
    a.bias = address<float>(added_);
    a.vector = vector.data;
    a.vector_stride = vector.sample_stride;
    a.silu = attributes_.silu != 0;
    a.workspace = static_cast<float*>(context.scratch);
    if (context.unfinished.x != nullptr) complete(context, a);
    return a;
  }

  void complete(const RunContext& context, GroupNormArguments<T>& a) const {
    const UnfinishedSum& sum = context.unfinished;
    const auto map = [&](const void* data, std::int64_t pixel_stride) {
      return Map<const T>{static_cast<const T*>(data), pixel_stride, pixel_stride * a.pixels};
    };
    a.x = map(sum.x, sum.x_pixel_stride);
    a.bias = sum.bias;
    a.vector = static_cast<const T*>(sum.vector);
    a.vector_stride = sum.vector_stride;
    a.completion = {context.map<T>(operands_.input(0)), map(sum.residual, sum.residual_pixel_stride), sum.scale};
  }

  Operands operands_;
  dpm_group_norm_attributes attributes_;
  dpm_value shape_;
  Packed gamma_;
  Packed beta_;
  /// Bias of the convolution that the norm reads.
  Packed added_;
  NormOperands norm_;
};

}  // namespace

std::unique_ptr<Layer> make_group_norm(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<GroupNormLayer>(factory, node);
}

}  // namespace dpm::cuda
