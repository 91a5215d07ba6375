// Convolution weights as bfloat16 terms, in the order in which the product's tile reads them.
#pragma once

#include <cstdint>

#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/layers/layer.h"
#include "devices/cpu/layers/node_weights.h"

namespace dpm::cpu {

/// Weights by output channels in panels of 32, each [block of 32 input channels][tap][term][2 groups of 16 output
/// channels] [pair of input channels][16][2]; missing channels are zero.
class Bf16Weights {
 public:
  /// Packs the stacked parts of a convolution node as `terms` numbers each, or shares what another network has packed
  /// of them.
  Bf16Weights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels, int terms);

  [[nodiscard]] int panels() const { return panels_; }
  [[nodiscard]] const std::uint16_t* panel(int index) const {
    return static_cast<const std::uint16_t*>(data_->data()) + static_cast<std::size_t>(index) * panel_elements_;
  }

  [[nodiscard]] int panel_lines() const { return static_cast<int>(panel_elements_ / kBf16Depth); }

 private:
  /// Packs the kernels of one output channel, [input channel][tap].
  void pack(const WeightRow& row, std::size_t column, std::uint16_t* panel) const;

  int in_channels_;
  int taps_;
  int terms_;
  int panels_;
  std::size_t panel_elements_;
  Packed data_;
};

}  // namespace dpm::cpu
