// Elements of any storage type and layout as float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace dpm {

/// Reads `count` elements of an array of `type` at `data`, which needs no alignment, in the row-major order of `dims`,
/// with `strides` in elements; without dims they lie one after the other.
inline void load_strided(const void* data, DType type, std::span<const std::int64_t> dims,
                         std::span<const std::int64_t> strides, std::size_t count, float* to) {
  if (dims.empty()) {
    load_as_floats(data, type, 0, count, to);
    return;
  }
  const std::size_t last = dims.size() - 1;
  const auto row = static_cast<std::size_t>(dims[last]);
  const auto stride = static_cast<std::size_t>(strides[last]);
  for (std::size_t done = 0; done < count; done += row) {
    std::size_t index = done / row;
    std::size_t place = 0;
    for (std::size_t axis = last; axis-- > 0;) {
      const auto extent = static_cast<std::size_t>(dims[axis]);
      place += index % extent * static_cast<std::size_t>(strides[axis]);
      index /= extent;
    }
    if (stride == 1) {
      load_as_floats(data, type, place, row, to + done);
    } else {
      for (std::size_t i = 0; i < row; ++i) to[done + i] = load_as_float(data, type, place + i * stride);
    }
  }
}

}  // namespace dpm
