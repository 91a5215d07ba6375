#include "cuda/kernels/convolution.h"

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "backend/bindings.h"
#include "core/error.h"
#include "cuda/kernels/adjoint_weights.h"
#include "cuda/kernels/small_convolution.h"
#include "cuda/layers/convolution_rest.h"
#include "cuda/layers/layer.h"
#include "cuda/layers/library_convolution.h"
#include "cuda/layers/weights.h"

namespace dpm::cuda {
namespace {

/// Returns whether the library's problem has the bias but no later part, because the channel vector, which it does not
/// support, comes between bias and residual.
bool only_bias_joins(const Operands& operands) { return operands.input(1) >= 0; }

Enlargement enlargement_of(const dpm_convolution_attributes& how) {
  if (how.zero_upsample != 0) return Enlargement::kZeros;
  return how.upsample != 0 ? Enlargement::kNearest : Enlargement::kNone;
}

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
    const bool plain = input_of(node, 1) < 0 && input_of(node, 2) < 0;
    shape_ = {plain ? stored_channels(out_) : out_.shape.channels, stored_channels(in_)};
    const bool is_image = is_bound_to(factory.graph, in_.shape, DPM_BINDING_IMAGE);
    weight_ = factory.weights(node, shape_, is_image && device_.settings.dtype != DType::kFloat32);
    if (node.bias_count > 0) {
      bias_ = factory.vectors(node.biases, node.bias_count, static_cast<std::size_t>(shape_.out_channels));
    }
  }

  void list_products(int batch, std::vector<ConvolutionProblem>* problems) const override {
    if (plans_.count(batch) == 0 && is_librarys(batch)) problems->push_back(problem(batch));
  }

  void prepare(int batch) override {
    if (device_.products == nullptr || plans_.count(batch) != 0) return;
    const auto finish = [this, batch](const ConvolutionBuffers& buffers, const ConvolutionResult& result) {
      finish_convolution(rest(batch, {nullptr, 0, 0}), buffers, result, device_.stream.get());
    };
    std::shared_ptr<const ConvolutionPlan> plan;
    if (is_librarys(batch)) plan = device_.products->convolution(problem(batch), finish);
    if (plan != nullptr && plan->result().data_gradient) make_adjoint();
    plans_[batch] = std::move(plan);
  }

  [[nodiscard]] bool has_way(Way way, const NormOperands* norm, const RunContext& context) const override {
    if (way == Way::kUsual) return true;
    if constexpr (std::is_same_v<T, float>) return false;
    if (enlargement_of(attributes_) != Enlargement::kNone) return false;
    if constexpr (!std::is_same_v<T, float>) return takes_small_convolution(small_arguments(norm, context));
  }

  void choose(int batch, Way way, const NormOperands* norm) override {
    if (way == Way::kUsual) {
      small_.erase(batch);
      return;
    }
    make_counters(norm);
    small_[batch] = norm;
  }

  bool refuse_plan(int batch) override {
    const bool had = plan_of(batch) != nullptr;
    plans_[batch] = nullptr;
    return had;
  }

  void follow_weights() override {
    if (adjoint_.data() != nullptr) fill_adjoint();
  }
  [[nodiscard]] const void* follower() const override { return adjoint_.data(); }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    const auto small = small_.find(batch);
    if (small != small_.end()) {
      return static_cast<std::size_t>(small_convolution_workspace(small_shape(small->second, batch))) * sizeof(float);
    }
    const ConvolutionPlan* plan = plan_of(batch);
    if (plan == nullptr) return 0;
    return workspace_end(plan->workspace_bytes()) + (plan->result().packed ? packed_bytes(batch) : 0);
  }

  void run(const RunContext& context) const override {
    if constexpr (!std::is_same_v<T, float>) {
      const auto small = small_.find(context.batch);
      if (small != small_.end() && !context.without_plans) {
        small_convolution(small_arguments(small->second, context), context.stream);
        return;
      }
    }
    const ConvolutionPlan* plan = context.without_plans ? nullptr : plan_of(context.batch);
    if (plan == nullptr) {
      convolution(arguments(context), context.stream);
      return;
    }
    const ConvolutionBuffers buffers = buffers_of(context, *plan);
    plan->run(buffers, context.stream);
    if (!context.leaves_sum) finish_convolution(rest(context), buffers, plan->result(), context.stream);
  }

  [[nodiscard]] std::optional<UnfinishedSum> unfinished(const RunContext& context) const override {
    const ConvolutionPlan* plan = context.without_plans ? nullptr : plan_of(context.batch);
    if (plan == nullptr || small_.count(context.batch) != 0) return std::nullopt;
    const auto left = rest_of_convolution(rest(context), buffers_of(context, *plan), plan->result());
    if (!left || left->activation != Activation::kNone) return std::nullopt;
    return UnfinishedSum{
        left->x.data,        left->x.pixel_stride,        left->bias, left->vector, left->vector_stride,
        left->residual.data, left->residual.pixel_stride, left->scale};
  }

 private:
  [[nodiscard]] ConvolutionBuffers buffers_of(const RunContext& context, const ConvolutionPlan& plan) const {
    ConvolutionBuffers buffers;
    buffers.x = context.map<T>(operands_.input(0)).data;
    buffers.w = weight_->data();
    buffers.adjoint_w = adjoint_.data();
    if (bias_) buffers.bias = bias_->data();
    buffers.residual = context.map<T>(operands_.input(2)).data;
    buffers.out = context.map<T>(operands_.output()).data;
    buffers.workspace = context.scratch;
    if (plan.result().packed)
      buffers.packed = static_cast<unsigned char*>(context.scratch) + workspace_end(plan.workspace_bytes());
    return buffers;
  }

  /// Makes the adjoint's weights, in addition to those that our own kernels read.
  void make_adjoint() {
    if (adjoint_.data() != nullptr) return;
    adjoint_ = device_.allocate(weight_->bytes());
    fill_adjoint();
  }

  void fill_adjoint() const {
    const WeightShape shape{shape_.out_channels, attributes_.kernel * attributes_.kernel, shape_.in_channels};
    adjoint_weights(address<T>(weight_), shape, adjoint_.as<T>(), device_.stream.get());
  }

  /// Makes the counters once, for the largest batch that the kernel takes, because the captured graphs of all batches
  /// refer to them.
  void make_counters(const NormOperands* norm) {
    if (counters_.data() != nullptr) return;
    const SmallConvolutionShape largest = small_shape(norm, most_small_convolution_samples(small_shape(norm, 1)));
    DeviceMemory counters =
        device_.allocate(static_cast<std::size_t>(small_convolution_counters(largest)) * sizeof(unsigned));
    check_cuda(cudaMemsetAsync(counters.data(), 0, counters.bytes(), device_.stream.get()), "clearing counters");
    counters_ = std::move(counters);
  }

  [[nodiscard]] const ConvolutionPlan* plan_of(int batch) const {
    const auto found = plans_.find(batch);
    return found == plans_.end() ? nullptr : found->second.get();
  }

  [[nodiscard]] SmallConvolutionShape small_shape(const NormOperands* norm, int batch) const {
    return {batch,
            in_.shape.height,
            in_.shape.width,
            shape_.in_channels,
            out_.shape.height,
            out_.shape.width,
            shape_.out_channels,
            attributes_.kernel,
            attributes_.stride,
            attributes_.pad_before,
            norm == nullptr ? 0 : norm->groups};
  }

  [[nodiscard]] SmallConvolutionArguments<T> small_arguments(const NormOperands* norm,
                                                             const RunContext& context) const {
    SmallConvolutionArguments<T> a{};
    a.shape = small_shape(norm, context.batch);
    a.x = context.map<const T>(norm == nullptr ? operands_.input(0) : norm->x);
    if (norm != nullptr) a.norm = small_norm(*norm, context);
    a.weight = address<T>(weight_);
    a.y = context.map<T>(operands_.output());
    a.bias = address<float>(bias_);
    const Map<const T> vector = context.map<const T>(operands_.input(1));
    a.vector = vector.data;
    a.vector_stride = vector.sample_stride;
    a.residual = context.map<const T>(operands_.input(2));
    a.scale = attributes_.scale;
    a.silu = attributes_.silu != 0;
    a.workspace = static_cast<float*>(context.scratch);
    a.counters = counters_.as<unsigned>();
    return a;
  }

  static SmallConvolutionNorm<T> small_norm(const NormOperands& norm, const RunContext& context) {
    const Map<const T> vector = context.map<const T>(norm.vector);
    const Map<const T> scale_shift = context.map<const T>(norm.scale_shift);
    return {norm.gamma,
            norm.beta,
            norm.epsilon,
            norm.silu,
            norm.bias,
            vector.data,
            vector.sample_stride,
            scale_shift.data,
            scale_shift.sample_stride};
  }

  [[nodiscard]] std::size_t packed_bytes(int batch) const {
    return static_cast<std::size_t>(batch * out_.pixels() * shape_.out_channels) * sizeof(T);
  }

  [[nodiscard]] bool is_librarys(int batch) const {
    const auto suits = [&](const ValueInfo& value) { return suits_library(value, device_.settings.dtype, batch); };
    return device_.products != nullptr && suits(in_) && suits(out_) && (operands_.input(2) < 0 || suits(residual_));
  }

  [[nodiscard]] ConvolutionProblem problem(int batch) const {
    ConvolutionProblem p = convolution_problem(device_, attributes_, in_, out_, batch);
    p.out_channels = shape_.out_channels;
    p.zero_upsample = attributes_.zero_upsample != 0;
    p.bias = bias_ != nullptr;
    if (only_bias_joins(operands_)) return p;
    p.residual = operands_.input(2) >= 0;
    if (p.residual) p.residual_pixel_stride = residual_.pixel_stride;
    p.scale = attributes_.scale;
    p.silu = attributes_.silu != 0;
    return p;
  }

  [[nodiscard]] ConvolutionRestArguments<T> rest(int batch, const Map<const T>& vector) const {
    ConvolutionRestArguments<T> rest{};
    rest.batch = batch;
    rest.pixels = static_cast<int>(out_.pixels());
    rest.channels = shape_.out_channels;
    rest.out_pixel_stride = out_.pixel_stride;
    rest.residual_pixel_stride = residual_.pixel_stride;
    rest.vector = vector.data;
    rest.vector_stride = vector.sample_stride;
    rest.scale = attributes_.scale;
    rest.silu = attributes_.silu != 0;
    return rest;
  }
  [[nodiscard]] ConvolutionRestArguments<T> rest(const RunContext& context) const {
    return rest(context.batch, context.map<const T>(operands_.input(1)));
  }

  [[nodiscard]] ConvolutionArguments<T> arguments(const RunContext& context) const {
    ConvolutionArguments<T> a{};
    a.x = context.map<const T>(operands_.input(0));
    a.weight = address<T>(weight_);
    a.y = context.map<T>(operands_.output());
    a.bias = address<float>(bias_);
    const Map<const T> vector = context.map<const T>(operands_.input(1));
    a.vector = vector.data;
    a.vector_stride = vector.sample_stride;
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
    a.enlargement = enlargement_of(attributes_);
    return a;
  }

  Device& device_;
  Operands operands_;
  dpm_convolution_attributes attributes_;
  ValueInfo in_;
  ValueInfo out_;
  ValueInfo residual_;
  PackedShape shape_;
  Packed weight_;
  DeviceMemory adjoint_;
  Packed bias_;
  std::map<int, std::shared_ptr<const ConvolutionPlan>> plans_;
  /// Batches that are computed by the kernel for small maps, each with the norm that it includes.
  std::map<int, const NormOperands*> small_;
  DeviceMemory counters_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConvolutionLayer>(factory, node);
}

}  // namespace dpm::cuda
