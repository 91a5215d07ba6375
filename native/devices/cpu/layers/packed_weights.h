// Convolution weights in the order in which the tile kernel reads them.
#pragma once

#include <vector>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// Weights by output channels in panels of two vectors (the last may be one), each [tap][input channel][panel width];
/// missing columns are zero.
class PackedWeights {
 public:
  /// A function that turns the kernel of one output and input channel into the `taps` numbers to pack.
  struct Transform {
    int taps;
    void (*apply)(const float* kernel, int count, float* taps);
  };

  /// Packs the stacked parts of a convolution node as they are.
  PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels);
  /// Packs the stacked parts after `transform`.
  PackedWeights(const LayerFactory& factory, const dpm_node& node, int in_channels, int out_channels,
                const Transform& transform);

  struct Panel {
    const float* data;
    int first;    ///< first output channel
    int columns;  ///< number of output channels in it
    int vectors;
  };

  [[nodiscard]] int panels() const { return static_cast<int>(offsets_.size()); }
  [[nodiscard]] Panel panel(int index) const;

 private:
  void pack(const dpm_constant& weight, int channel);

  int in_channels_;
  int kernel_size_;
  Transform transform_;
  int out_channels_;
  int width_;
  std::vector<std::size_t> offsets_;
  CountedBuffer data_;
};

}  // namespace dpm::cpu
