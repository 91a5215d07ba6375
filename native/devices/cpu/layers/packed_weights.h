// Convolution weights in the order in which the tile kernel reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// Weights by output channels in panels of two vectors (the last may be one), each [tap][input channel][panel width];
/// missing columns are zero.
class PackedWeights {
 public:
  /// What is packed: the kernels as they are, or the 36 numbers that Winograd's algorithm makes of each.
  enum class Form : std::uint8_t { kPlain, kWinograd };

  /// Packs the stacked parts of a convolution node, or shares what another network has packed of them.
  PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels, Form form);

  struct Panel {
    const float* data;
    int first;    ///< first output channel
    int columns;  ///< number of output channels in it
    int vectors;
  };

  [[nodiscard]] int panels() const { return static_cast<int>(offsets_.size()); }
  [[nodiscard]] Panel panel(int index) const;

 private:
  /// A panel without its numbers.
  [[nodiscard]] Panel shape_of(int index) const;

  int out_channels_;
  int width_;
  std::vector<std::size_t> offsets_;
  Packed data_;
};

}  // namespace dpm::cpu
