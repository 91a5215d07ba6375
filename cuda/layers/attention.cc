#include "cuda/kernels/attention.h"

#include <cmath>
#include <map>
#include <string>

#include "core/error.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

template <typename T>
class AttentionLayer : public Layer {
 public:
  AttentionLayer(const LayerFactory& factory, const dpm_node& node)
      : device_(factory.device),
        operands_(node),
        heads_(attention_of(node).heads),
        causal_(attention_of(node).causal != 0),
        q_(factory.value(input_of(node, 0))),
        k_(factory.value(input_of(node, 1))),
        v_(factory.value(input_of(node, 2))),
        out_(factory.value(output_of(node))),
        width_(out_.shape.channels / heads_) {
    if (width_ > kWidestHead) {
      throw Error(ErrorCode::kUnsupported, "an attention head of " + std::to_string(width_) +
                                               " channels is wider than the cuda device's limit of " +
                                               std::to_string(kWidestHead));
    }
  }

  void prepare(int batch) override {
    if (device_.products == nullptr || plans_.count(batch) != 0) return;
    plans_[batch] = is_plain() && is_aligned() ? device_.products->attention(problem(batch)) : nullptr;
  }

  bool refuse_plan(int batch) override {
    const bool had = plan_of(batch) != nullptr;
    plans_[batch] = nullptr;
    return had;
  }

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    const AttentionPlan* plan = plan_of(batch);
    return plan == nullptr ? 0 : static_cast<std::size_t>(plan->workspace_bytes());
  }

  void run(const RunContext& context) const override {
    const AttentionPlan* plan = plan_of(context.batch);
    AttentionArguments<T> a{};
    a.q = context.map<const T>(operands_.input(0));
    a.k = context.map<const T>(operands_.input(1));
    a.v = context.map<const T>(operands_.input(2));
    a.out = context.map<T>(operands_.output());
    if (plan != nullptr) {
      plan->run({a.q.data, a.k.data, a.v.data, a.out.data, context.scratch});
      return;
    }
    a.batch = context.batch;
    a.heads = heads_;
    a.query_tokens = static_cast<int>(q_.pixels());
    a.key_tokens = static_cast<int>(k_.pixels());
    a.width = width_;
    a.scale = scale();
    a.causal = causal_;
    if (operands_.input(3) >= 0) {
      const Map<const T> logits = context.map<const T>(operands_.input(3));
      a.logits = logits.data;
      a.logits_stride = logits.sample_stride;
    }
    attention(a, context.stream);
  }

 private:
  [[nodiscard]] float scale() const { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(width_))); }

  [[nodiscard]] const AttentionPlan* plan_of(int batch) const {
    const auto found = plans_.find(batch);
    return found == plans_.end() ? nullptr : found->second.get();
  }

  /// The library is asked for attention without a mask.
  [[nodiscard]] bool is_plain() const { return !causal_ && operands_.input(3) < 0; }

  /// The library requires addresses that are multiples of 16.
  [[nodiscard]] bool is_aligned() const {
    for (const ValueInfo* value : {&q_, &k_, &v_, &out_}) {
      if (value->first_channel * static_cast<std::int64_t>(sizeof(T)) % 16 != 0) return false;
    }
    return true;
  }

  [[nodiscard]] AttentionProblem problem(int batch) const {
    AttentionProblem p;
    p.batch = batch;
    p.heads = heads_;
    p.query_tokens = static_cast<int>(q_.pixels());
    p.key_tokens = static_cast<int>(k_.pixels());
    p.width = width_;
    p.q_token_stride = q_.pixel_stride;
    p.k_token_stride = k_.pixel_stride;
    p.v_token_stride = v_.pixel_stride;
    p.out_token_stride = out_.pixel_stride;
    p.dtype = device_.settings.dtype;
    p.scale = scale();
    return p;
  }

  Device& device_;
  Operands operands_;
  int heads_;
  bool causal_;
  ValueInfo q_;
  ValueInfo k_;
  ValueInfo v_;
  ValueInfo out_;
  int width_;
  std::map<int, std::shared_ptr<const AttentionPlan>> plans_;
};

}  // namespace

std::unique_ptr<Layer> make_attention(const LayerFactory& factory, const dpm_node& node) {
  return make_stored<AttentionLayer>(factory, node);
}

}  // namespace dpm::cuda
