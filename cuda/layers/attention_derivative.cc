#include "cuda/kernels/attention_derivative.h"

#include <cmath>

#include "cuda/layers/layer.h"

namespace dpm::cuda {
namespace {

/// Sizes of the attention that is differentiated.
struct AttentionShape {
  int heads;
  int queries;
  int keys;
  int channels;
  bool causal;

  AttentionShape(const LayerFactory& factory, const dpm_node& node)
      : heads(attention_of(node).heads),
        queries(static_cast<int>(factory.value(input_of(node, 0)).pixels())),
        keys(static_cast<int>(factory.value(input_of(node, 1)).pixels())),
        channels(factory.value(input_of(node, 0)).shape.channels),
        causal(attention_of(node).causal != 0) {}

  template <typename Arguments>
  void fill(const RunContext& context, Arguments& a) const {
    a.batch = context.batch;
    a.heads = heads;
    a.width = channels / heads;
    a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.width)));
  }
};

template <typename T>
class AttentionBackwardLayer : public Layer {
 public:
  AttentionBackwardLayer(const LayerFactory& factory, const dpm_node& node) : operands_(node), shape_(factory, node) {}

  [[nodiscard]] std::size_t scratch_bytes(int batch) const override {
    return static_cast<std::size_t>(attention_backward_workspace(batch, shape_.heads, shape_.queries)) * sizeof(float);
  }

  void run(const RunContext& context) const override {
    AttentionBackwardArguments<T> a{};
    a.q = context.map<const T>(operands_.input(0));
    a.k = context.map<const T>(operands_.input(1));
    a.v = context.map<const T>(operands_.input(2));
    a.d = context.map<const T>(operands_.input(3));
    a.dq = context.map<T>(operands_.output());
    // Cotangents of k and v come behind that of q, or are a result of their own.
    const bool is_crossed = operands_.outputs() > 1;
    a.dk = is_crossed ? context.map<T>(operands_.output(1)) : a.dq;
    if (!is_crossed) a.dk.data += shape_.channels;
    a.dv = a.dk;
    a.dv.data += shape_.channels;
    a.queries = shape_.queries;
    a.keys = shape_.keys;
    a.causal = shape_.causal;
    shape_.fill(context, a);
    a.workspace = static_cast<float*>(context.scratch);
    attention_backward(a, context.stream);
  }

 private:
  Operands operands_;
  AttentionShape shape_;
};

template <typename T>
class AttentionTangentLayer : public Layer {
 public:
  AttentionTangentLayer(const LayerFactory& factory, const dpm_node& node) : operands_(node), shape_(factory, node) {}

  void run(const RunContext& context) const override {
    AttentionTangentArguments<T> a{};
    a.q = context.map<const T>(operands_.input(0));
    a.k = context.map<const T>(operands_.input(1));
    a.v = context.map<const T>(operands_.input(2));
    a.tq = context.map<const T>(operands_.input(3));
    a.tk = context.map<const T>(operands_.input(4));
    a.tv = context.map<const T>(operands_.input(5));
    a.out = context.map<T>(operands_.output());
    a.tokens = shape_.queries;
    shape_.fill(context, a);
    attention_tangent(a, context.stream);
  }

 private:
  Operands operands_;
  AttentionShape shape_;
};

}  // namespace

std::unique_ptr<Layer> make_attention_derivative(const LayerFactory& factory, const dpm_node& node) {
  if (node.op == DPM_OP_ATTENTION_BACKWARD) return make_stored<AttentionBackwardLayer>(factory, node);
  return make_stored<AttentionTangentLayer>(factory, node);
}

}  // namespace dpm::cuda
