#include "cuda/kernels/convolution_weights.h"

#include <map>

#include "cuda/kernels/weight_sums.h"
#include "cuda/layers/layer.h"
#include "cuda/layers/library_convolution.h"

namespace dpm::cuda {
namespace {

/// The gradient of a convolution's weights over the rows of the samples alone: those that pad a batch have none.
template <typename T>
class ConvolutionWeightsLayer : public Layer {
 public:
  ConvolutionWeightsLayer(const LayerFactory& factory, const dpm_node& node)
      : device_(factory.device),
        operands_(node),
        attributes_(convolution_of(node)),
        in_(factory.value(input_of(node, 0))),
        out_(factory.value(input_of(node, 1))) {}

  void prepare(int batch) override {
    if (plans_.count(batch) != 0 || !is_librarys(batch)) return;
    plans_[batch] = device_.products->weight_gradient(convolution_problem(device_, attributes_, in_, out_, batch));
  }

  bool refuse_plan(int batch) override {
    const bool had = plan_of(batch) != nullptr;
    plans_[batch] = nullptr;
    return had;
  }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    const WeightGradientPlan* plan = plan_of(batch);
    if (plan != nullptr) return workspace_end(plan->workspace_bytes()) + stored_weights() * sizeof(T);
    return static_cast<std::size_t>(convolution_weights_workspace(shape(batch))) * sizeof(float);
  }

  void run(const RunContext& context) const override {
    const WeightGradientPlan* plan = context.without_plans ? nullptr : plan_of(context.batch);
    if (plan != nullptr) return run_plan(context, *plan);
    ConvolutionWeightsArguments<T> a{};
    a.shape = shape(context.samples);
    a.x = context.map<const T>(operands_.input(0));
    a.d = context.map<const T>(operands_.input(1));
    a.workspace = static_cast<float*>(context.scratch);
    a.sum = context.sum(operands_.output());
    convolution_weights(a, context.stream);
  }

 private:
  void run_plan(const RunContext& context, const WeightGradientPlan& plan) const {
    clear_padding(context, operands_.input(0));
    clear_padding(context, operands_.input(1));
    WeightGradientBuffers buffers;
    buffers.x = context.map<T>(operands_.input(0)).data;
    buffers.d = context.map<T>(operands_.input(1)).data;
    buffers.w = static_cast<unsigned char*>(context.scratch) + workspace_end(plan.workspace_bytes());
    buffers.workspace = context.scratch;
    plan.run(buffers, context.stream);
    WeightSumsArguments<T> sums{};
    sums.parts = static_cast<const T*>(buffers.w);
    sums.count = 1;
    sums.out_channels = out_.shape.channels;
    sums.taps = attributes_.kernel * attributes_.kernel;
    sums.in_channels = in_.shape.channels;
    sums.padded_channels = stored_channels(in_);
    sums.sum = context.sum(operands_.output());
    add_weight_sums(sums, context.stream);
  }

  /// Sets the rows that pad a batch to zero, as a plan sums over all that it was made for.
  static void clear_padding(const RunContext& context, int value) {
    if (context.samples == context.batch) return;
    const Map<T> map = context.map<T>(value);
    T* rows = map.data - context.values[static_cast<std::size_t>(value)].first_channel;
    const auto elements = static_cast<std::size_t>((context.batch - context.samples) * map.sample_stride);
    check_cuda(cudaMemsetAsync(rows + context.samples * map.sample_stride, 0, elements * sizeof(T), context.stream),
               "clearing rows that pad a batch");
  }

  [[nodiscard]] std::size_t stored_weights() const {
    return static_cast<std::size_t>(stored_channels(out_)) * static_cast<std::size_t>(stored_channels(in_)) *
           static_cast<std::size_t>(attributes_.kernel * attributes_.kernel);
  }

  [[nodiscard]] const WeightGradientPlan* plan_of(int batch) const {
    const auto found = plans_.find(batch);
    return found == plans_.end() ? nullptr : found->second.get();
  }

  /// Products of vectors are our own kernel's, as are those of linear layers.
  [[nodiscard]] bool is_librarys(int batch) const {
    const auto suits = [&](const ValueInfo& value) { return suits_library(value, device_.settings.dtype, batch); };
    return device_.products != nullptr && in_.pixels() > 1 && suits(in_) && suits(out_);
  }

  [[nodiscard]] ConvolutionWeightsShape shape(int rows) const {
    return {rows,
            in_.shape.height,
            in_.shape.width,
            in_.shape.channels,
            out_.shape.height,
            out_.shape.width,
            out_.shape.channels,
            attributes_.kernel,
            attributes_.stride,
            attributes_.pad_before};
  }

  Device& device_;
  Operands operands_;
  dpm_convolution_attributes attributes_;
  ValueInfo in_;
  ValueInfo out_;
  std::map<int, std::shared_ptr<const WeightGradientPlan>> plans_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution_weights(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<ConvolutionWeightsLayer>(factory, node);
}

}  // namespace dpm::cuda
