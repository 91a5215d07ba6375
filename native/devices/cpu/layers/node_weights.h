// The weights that a node stacks along its output channels.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "devices/cpu/layers/weight_elements.h"

namespace dpm::cpu {

/// The kernels of one output channel: number `tap` of input channel `in` is at first[in * input_stride + tap *
/// tap_stride].
struct WeightRow {
  const float* first = nullptr;
  std::ptrdiff_t input_stride = 0;
  std::ptrdiff_t tap_stride = 0;

  /// Returns the kernel of an input channel.
  [[nodiscard]] const float* kernel(int in) const { return first + in * input_stride; }
  /// Returns whether the kernels lie one after the other.
  [[nodiscard]] bool is_dense(int taps) const { return tap_stride == 1 && input_stride == taps; }
};

/// The rows of a node's weights, one per output channel.
inline std::vector<WeightRow> rows_of(std::span<const WeightElements> weights) {
  std::vector<WeightRow> rows;
  for (const WeightElements& weight : weights) {
    for (std::size_t row = 0; row < weight.outputs; ++row) {
      rows.push_back({weight.first + static_cast<std::ptrdiff_t>(row) * weight.output_stride, weight.input_stride,
                      weight.tap_stride});
    }
  }
  return rows;
}

}  // namespace dpm::cpu
