#include "cuda/layers/prediction.h"

#include <algorithm>

#include "backend/bindings.h"
#include "backend/storage_root.h"
#include "cuda/layers/layer.h"
#include "cuda/layers/weights.h"

namespace dpm::cuda {
namespace {

/// Returns the node that writes `value`; null where other nodes write parts of it or any node reads it.
const dpm_node* only_writer(const dpm_graph& graph, int value) {
  const dpm_node* writer = nullptr;
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    const dpm_node& node = graph.nodes[i];
    const auto touches = [&](int other) { return other >= 0 && storage_root(graph, other).value == value; };
    if (std::any_of(node.inputs, node.inputs + node.input_count, touches)) return nullptr;
    for (std::uint32_t k = 0; k < node.output_count; ++k) {
      if (!touches(node.outputs[k])) continue;
      if (node.outputs[k] != value) return nullptr;
      writer = &node;
    }
  }
  return writer;
}

/// Returns whether every pixel's channels begin at a multiple of 16 bytes.
bool is_aligned(const dpm_graph& graph, int value) {
  const StorageRoot root = storage_root(graph, value);
  constexpr int kElements = 8;
  return root.first_channel % kElements == 0 && graph.values[root.value].channels % kElements == 0;
}

template <typename T>
class PredictionLayer : public Layer {
 public:
  PredictionLayer(const LayerFactory& factory, const dpm_node& node)
      : operands_(node), shape_(prediction_shape(factory.graph, node)) {
    const PackedShape packed{shape_.out_channels, shape_.in_channels};
    weight_ = factory.weights(node, packed);
    if (node.bias_count > 0) {
      bias_ = factory.vectors(node.biases, node.bias_count, static_cast<std::size_t>(shape_.out_channels));
    }
  }

  void run(const RunContext& context) const override {
    predict<T>({shape_, context.batch, context.map<const T>(operands_.input(0)), address<T>(weight_),
                context.map<float>(operands_.output()), address<float>(bias_)},
               context.stream);
  }

 private:
  Operands operands_;
  PredictionShape shape_;
  Packed weight_;
  Packed bias_;
};

}  // namespace

PredictionShape prediction_shape(const dpm_graph& graph, const dpm_node& node) {
  const dpm_value& in = graph.values[input_of(node, 0)];
  const dpm_value& out = graph.values[output_of(node)];
  const dpm_convolution_attributes& how = convolution_of(node);
  return {in.height,    in.width,   in.channels, out.height,    out.width,
          out.channels, how.kernel, how.stride,  how.pad_before};
}

bool is_prediction(const dpm_graph& graph, int value, DType dtype) {
  const dpm_value& out = graph.values[value];
  if (dtype == DType::kFloat32) return false;
  if (!is_bound_to(graph, out, DPM_BINDING_OUTPUT) && !is_bound_to(graph, out, DPM_BINDING_HEAD)) return false;
  const dpm_node* node = only_writer(graph, value);
  if (node == nullptr || node->op != DPM_OP_CONVOLUTION || node->output_count != 1) return false;
  const dpm_convolution_attributes& how = convolution_of(*node);
  const bool is_plain = how.upsample == 0 && how.zero_upsample == 0 && how.silu == 0 && how.scale == 1.0F;
  const int x = input_of(*node, 0);
  return is_plain && input_of(*node, 1) < 0 && input_of(*node, 2) < 0 && !is_bound(graph.values[x]) &&
         is_aligned(graph, x) && takes_prediction(prediction_shape(graph, *node));
}

std::unique_ptr<Layer> make_prediction(const LayerFactory& factory, const dpm_node& node) {
  if (factory.device.settings.dtype == DType::kFloat16) return std::make_unique<PredictionLayer<Half>>(factory, node);
  return std::make_unique<PredictionLayer<Bfloat16>>(factory, node);
}

}  // namespace dpm::cuda
