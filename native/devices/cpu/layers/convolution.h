// The common part of all ways to compute a convolution.
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
    if (node.bias_count > 0) bias_ = factory.packing.vectors(node.biases, node.bias_count);
  }

 protected:
  /// Operands that are added to the sums.
  struct Epilogue {
    const float* bias = nullptr;
    std::optional<MapView> channel_vector;
    std::optional<MapView> residual;
  };

  [[nodiscard]] Epilogue epilogue(const RunContext& context) const {
    Epilogue result;
    if (bias_) result.bias = bias_->floats();
    if (operands_.input(1) >= 0) result.channel_vector = context.map(operands_.input(1));
    if (operands_.input(2) >= 0) result.residual = context.map(operands_.input(2));
    return result;
  }

  Operands operands_;
  dpm_convolution_attributes attributes_;
  dpm_value in_shape_;
  dpm_value out_shape_;
  Packed bias_;
};

/// Chooses, per node, the convolutions to compute by the Winograd algorithm. The choice depends only on the shape per
/// image, so that a sample does not depend on its batch. Convolutions of the largest maps, which gain most from weights
/// four times the size, come first, until these weights take `bytes`. A device opened `exact` has none.
std::vector<bool> choose_winograd(const Device& device, const dpm_graph& graph, std::uint64_t bytes);

/// Returns whether Winograd's algorithm is faster for a convolution of these shapes, or for the gradient of its
/// weights. On a device opened `exact` it never is.
bool suits_winograd(const Device& device, const dpm_node& node, const dpm_value& in, const dpm_value& out);

/// Returns whether this layer uses products of bfloat16 terms: always on a matrix unit; with dot products of pairs
/// where Winograd's algorithm is not faster still; never on a device opened `exact`.
bool prefers_bf16(const LayerFactory& factory, const dpm_node& node);

std::unique_ptr<Layer> make_bf16_convolution(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_winograd(const LayerFactory& factory, const dpm_node& node);
std::unique_ptr<Layer> make_winograd_weights(const LayerFactory& factory, const dpm_node& node);

}  // namespace dpm::cpu
