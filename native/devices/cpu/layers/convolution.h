// What the ways to compute a convolution have in common.
#pragma once

#include <optional>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

class Convolution : public Layer {
 public:
  Convolution(const LayerFactory& factory, const dpm_node& node)
      : operands_(node),
        attributes_(convolution_of(node)),
        in_shape_(factory.values[input_of(node, 0)].shape),
        out_shape_(factory.values[output_of(node)].shape) {
    if (node.bias_count > 0) bias_ = factory.stacked(node.biases, node.bias_count);
  }

 protected:
  /// What is added to the sums.
  struct Epilogue {
    const float* bias = nullptr;
    std::optional<MapView> channel_vector;
    std::optional<MapView> residual;
  };

  [[nodiscard]] Epilogue epilogue(const RunContext& context) const {
    Epilogue result;
    result.bias = bias_.floats();
    if (operands_.input(1) >= 0) result.channel_vector = context.map(operands_.input(1));
    if (operands_.input(2) >= 0) result.residual = context.map(operands_.input(2));
    return result;
  }

  Operands operands_;
  dpm_convolution_attributes attributes_;
  dpm_value in_shape_;
  dpm_value out_shape_;
  StackedVectors bias_;
};

/// Per node, whether it is a convolution to compute by the Winograd algorithm: a matter of its shape per image alone,
/// so that a sample does not depend on its batch. Those of the largest maps come first, which gain most from weights
/// four times the size, until these weights take `bytes`. None on a device opened `exact`.
std::vector<bool> choose_winograd(const Device& device, const dpm_graph& graph, std::uint64_t bytes);

/// Whether products of bfloat16 terms are the way for this layer: on a matrix unit always, with dot products of pairs
/// where Winograd's algorithm is not faster still; never on a device opened `exact`.
bool prefers_bf16(const LayerFactory& factory, const dpm_node& node);

std::unique_ptr<Layer> make_bf16_convolution(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_winograd(const LayerFactory& factory, const dpm_node& node);

}  // namespace dpm::cpu
