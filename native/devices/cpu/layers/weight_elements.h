// The elements of a weight in memory, wherever and in whatever order they lie.
#pragma once

#include <algorithm>
#include <cstddef>

#include "backend/backend.h"
#include "backend/constant.h"

namespace dpm::cpu {

/// A weight of [outputs][inputs][taps] float32 numbers, each axis of a stride of its own, in elements; a vector has one
/// input and one tap.
struct WeightElements {
  const float* first = nullptr;
  std::size_t outputs = 0;
  std::size_t inputs = 1;
  std::size_t taps = 1;
  std::ptrdiff_t output_stride = 1;
  std::ptrdiff_t input_stride = 1;
  std::ptrdiff_t tap_stride = 1;

  /// Returns the elements of `constant` that lie at `data` in row-major order.
  static WeightElements plain(const dpm_constant& constant, const float* data) {
    WeightElements result = shape_of(constant);
    result.first = data;
    result.tap_stride = 1;
    result.input_stride = static_cast<std::ptrdiff_t>(result.taps);
    result.output_stride = static_cast<std::ptrdiff_t>(result.inputs * result.taps);
    return result;
  }

  /// Returns the elements of `constant` where those of the weight that it is the transposed one of lie at `data` in
  /// row-major order.
  static WeightElements transposed(const dpm_constant& constant, const float* data) {
    WeightElements result = shape_of(constant);
    const auto taps = static_cast<std::ptrdiff_t>(result.taps);
    result.first = data + taps - 1;
    result.tap_stride = -1;
    result.output_stride = taps;
    result.input_stride = taps * static_cast<std::ptrdiff_t>(result.outputs);
    return result;
  }

  [[nodiscard]] std::size_t size() const { return outputs * inputs * taps; }

  /// Writes the elements in row-major order; returns the end of what is written.
  float* copy_to(float* to) const {
    if (tap_stride == 1) return std::copy_n(first, size(), to);
    for (std::size_t output = 0; output < outputs; ++output) {
      for (std::size_t input = 0; input < inputs; ++input) {
        const float* tap = first + static_cast<std::ptrdiff_t>(output) * output_stride +
                           static_cast<std::ptrdiff_t>(input) * input_stride;
        for (std::size_t i = 0; i < taps; ++i, tap += tap_stride) *to++ = *tap;
      }
    }
    return to;
  }

 private:
  static WeightElements shape_of(const dpm_constant& constant) {
    WeightElements result;
    result.outputs = static_cast<std::size_t>(constant.dims[0]);
    if (constant.rank > 1) result.inputs = static_cast<std::size_t>(constant.dims[1]);
    result.taps = element_count(constant) / std::max<std::size_t>(result.outputs * result.inputs, 1);
    return result;
  }
};

}  // namespace dpm::cpu
