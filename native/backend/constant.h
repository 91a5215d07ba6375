// Reading weights, whatever type they are stored in and however their elements lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "backend/c_enums.h"
#include "core/dtype.h"

namespace dpm {

inline std::size_t element_count(const dpm_constant& constant) {
  std::size_t elements = 1;
  for (std::uint32_t i = 0; i < constant.rank; ++i) elements *= static_cast<std::size_t>(constant.dims[i]);
  return elements;
}

/// Element `index` of a weight in row-major order.
inline float load_constant(const dpm_constant& constant, std::size_t index) {
  const auto type = static_cast<DType>(constant.dtype);
  if (constant.view_rank == 0) return load_as_float(constant.data, type, index);
  std::size_t place = 0;
  for (std::uint32_t axis = constant.view_rank; axis-- > 0;) {
    const auto size = static_cast<std::size_t>(constant.view_dims[axis]);
    place += index % size * static_cast<std::size_t>(constant.view_strides[axis]);
    index /= size;
  }
  return load_as_float(constant.data, type, place);
}

}  // namespace dpm
