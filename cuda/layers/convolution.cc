#include "cuda/kernels/convolution.h"

#include <algorithm>
#include <limits>
#include <map>

#include "backend/bindings.h"
#include "core/error.h"
#include "cuda/kernels/channelwise.h"
#include "cuda/layers/layer.h"
#include "cuda/layers/weights.h"

namespace dpm::cuda {
namespace {

/// The parts that the problem of the library has when the channel vector, which it does not take, stands between bias
/// and residual.
bool only_bias_joins(const Operands& operands) { return operands.input(1) >= 0; }

template <typename T>
class ConvolutionLayer : public Layer {
 public:
  ConvolutionLayer(const LayerFactory& factory, const dpm_node& node)
      : device_(factory.device),
        operands_(node),
        attributes_(convolution_of(node)),
        in_(factory.value(input_of(node, 0))),
        out_(factory.value(output_of(node))),
        residual_(input_of(node, 2) >= 0 ? factory.value(input_of(node, 2)) : ValueInfo{}) {
    // Padding reaches the end of the pixel: nobody else has channels there.
    const auto stored = [](const ValueInfo& value) {
      return !is_bound(value.shape) ? value.shape.channels : static_cast<int>(value.pixel_stride);
    };
    const bool plain = input_of(node, 1) < 0 && input_of(node, 2) < 0;
    shape_ = {plain ? stored(out_) : out_.shape.channels, stored(in_)};
    std::vector<float> weight = pack_weights(factory.graph, node, shape_);
    const DType dtype = device_.settings.dtype;
    if (is_bound_to(factory.graph, in_.shape, DPM_BINDING_IMAGE) && dtype != DType::kFloat32) {
      weight = split_weights(weight, in_.shape.channels, shape_.in_channels, dtype);
    }
    weight_ = factory.stored(weight);
    if (node.bias_count > 0) {
      bias_ = factory.floats(node.biases, node.bias_count, static_cast<std::size_t>(shape_.out_channels));
    }
  }

  void prepare(int batch) override {
    if (device_.products == nullptr || plans_.count(batch) != 0) return;
    plans_[batch] = is_aligned() && is_small(batch) ? device_.products->convolution(problem(batch)) : nullptr;
  }

  bool refuse_plan(int batch) override {
    const bool had = plan_of(batch) != nullptr;
    plans_[batch] = nullptr;
    return had;
  }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    const ConvolutionPlan* plan = plan_of(batch);
    return plan == nullptr ? 0 : static_cast<std::size_t>(plan->workspace_bytes());
  }

  void run(const RunContext& context) const override {
    const ConvolutionPlan* plan = plan_of(context.batch);
    if (plan == nullptr) {
      convolution(arguments(context), context.stream);
      return;
    }
    ConvolutionBuffers buffers;
    buffers.x = context.map<T>(operands_.input(0)).data;
    buffers.w = weight_.data();
    buffers.bias = bias_.data();
    buffers.residual = context.map<T>(operands_.input(2)).data;
    buffers.out = context.map<T>(operands_.output()).data;
    buffers.workspace = context.scratch;
    plan->run(buffers);
    finish(context, plan->fused_parts());
  }

 private:
  [[nodiscard]] const ConvolutionPlan* plan_of(int batch) const {
    const auto found = plans_.find(batch);
    return found == plans_.end() ? nullptr : found->second.get();
  }

  /// The library wants addresses that are as aligned as the distance of pixels.
  [[nodiscard]] bool is_aligned() const {
    const auto fits = [](const ValueInfo& value) {
      constexpr std::int64_t kBytes = sizeof(T);
      const std::int64_t quantum =
          std::min<std::int64_t>(16, (value.pixel_stride * kBytes) & -(value.pixel_stride * kBytes));
      return value.first_channel * kBytes % quantum == 0;
    };
    return fits(in_) && fits(out_) && (operands_.input(2) < 0 || fits(residual_));
  }

  /// Libraries may count a map's elements in 32 bits.
  [[nodiscard]] bool is_small(int batch) const {
    const auto elements = [&](const ValueInfo& value) { return batch * value.pixels() * value.pixel_stride; };
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    return elements(in_) <= kMost && elements(out_) <= kMost && elements(residual_) <= kMost;
  }

  [[nodiscard]] ConvolutionProblem problem(int batch) const {
    ConvolutionProblem p;
    p.batch = batch;
    p.in_channels = shape_.in_channels;
    p.in_height = in_.shape.height;
    p.in_width = in_.shape.width;
    p.in_pixel_stride = in_.pixel_stride;
    p.out_channels = shape_.out_channels;
    p.out_height = out_.shape.height;
    p.out_width = out_.shape.width;
    p.out_pixel_stride = out_.pixel_stride;
    p.kernel = attributes_.kernel;
    p.stride = attributes_.stride;
    p.pad_before = attributes_.pad_before;
    p.pad_after = attributes_.pad_after;
    p.dtype = device_.settings.dtype;
    p.tf32 = device_.settings.tf32;
    p.bias = bias_.data() != nullptr;
    if (only_bias_joins(operands_)) return p;
    p.residual = operands_.input(2) >= 0;
    if (p.residual) p.residual_pixel_stride = residual_.pixel_stride;
    p.scale = attributes_.scale;
    p.silu = attributes_.silu != 0;
    return p;
  }

  /// What the plan left, in one pass over the result.
  void finish(const RunContext& context, unsigned done) const {
    ChannelwiseArguments<T> a{};
    const Map<T> out = context.map<T>(operands_.output());
    a.x = {out.data, out.pixel_stride, out.sample_stride};
    a.y = out;
    a.batch = context.batch;
    a.pixels = static_cast<int>(out_.pixels());
    a.channels = shape_.out_channels;
    a.bias = (done & kPartBias) != 0 ? nullptr : bias_.as<float>();
    set_vector(context, a);
    if ((done & kPartResidual) == 0) a.residual = context.map<const T>(operands_.input(2));
    a.scale = (done & kPartScale) != 0 ? 1.0F : attributes_.scale;
    const bool activates = (done & kPartSilu) == 0 && attributes_.silu != 0;
    a.activation = activates ? Activation::kSilu : Activation::kNone;
    const bool nothing = a.bias == nullptr && a.vector == nullptr && a.residual.data == nullptr && a.scale == 1.0F;
    if (!nothing || activates) channelwise(a, context.stream);
  }

  template <typename Arguments>
  void set_vector(const RunContext& context, Arguments& arguments) const {
    const Map<const T> vector = context.map<const T>(operands_.input(1));
    arguments.vector = vector.data;
    arguments.vector_stride = vector.sample_stride;
  }

  [[nodiscard]] ConvolutionArguments<T> arguments(const RunContext& context) const {
    ConvolutionArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.weight = weight_.as<T>();
    a.y = context.map<T>(operands_.output());
    a.bias = bias_.as<float>();
    set_vector(context, a);
    a.residual = context.map<const T>(operands_.input(2));
    a.scale = attributes_.scale;
    a.silu = attributes_.silu != 0;
    a.batch = context.batch;
    a.in_height = in_.shape.height;
    a.in_width = in_.shape.width;
    a.in_channels = shape_.in_channels;
    a.out_height = out_.shape.height;
    a.out_width = out_.shape.width;
    a.out_channels = shape_.out_channels;
    a.kernel = attributes_.kernel;
    a.stride = attributes_.stride;
    a.pad_before = attributes_.pad_before;
    a.upsample = attributes_.upsample != 0;
    return a;
  }

  Device& device_;
  Operands operands_;
  dpm_convolution_attributes attributes_;
  ValueInfo in_;
  ValueInfo out_;
  ValueInfo residual_;
  PackedShape shape_;
  DeviceMemory weight_;
  DeviceMemory bias_;
  std::map<int, std::shared_ptr<const ConvolutionPlan>> plans_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConvolutionLayer>(factory, node);
}

}  // namespace dpm::cuda
