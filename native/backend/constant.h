// Access to weights of any location, storage type and layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backend/backend.h"
#include "backend/c_enums.h"
#include "backend/guard.h"
#include "core/dtype.h"

namespace dpm {

inline std::size_t element_count(const dpm_constant& constant) {
  std::size_t elements = 1;
  for (std::uint32_t i = 0; i < constant.rank; ++i) elements *= static_cast<std::size_t>(constant.dims[i]);
  return elements;
}

/// The elements of a weight. A weight that has to be read occupies memory for the lifetime of this object, so devices
/// hold one at a time.
class ConstantElements {
 public:
  /// Reads the weight where it is not in memory; throws the errors of reading.
  explicit ConstantElements(const dpm_constant& constant)
      : constant_(constant), type_(static_cast<DType>(constant.dtype)), data_(constant.data) {
    if (data_ != nullptr) return;
    read_ = std::make_unique_for_overwrite<unsigned char[]>(constant.bytes);
    dpm_message message{};
    check(constant.read(constant.source, read_.get(), &message), message);
    data_ = read_.get();
  }

  [[nodiscard]] std::size_t size() const { return element_count(constant_); }

  /// Returns element `index` in row-major order.
  float operator[](std::size_t index) const {
    if (constant_.view_rank == 0) return load_as_float(data_, type_, index);
    std::size_t place = 0;
    for (std::uint32_t axis = constant_.view_rank; axis-- > 0;) {
      const auto size = static_cast<std::size_t>(constant_.view_dims[axis]);
      place += index % size * static_cast<std::size_t>(constant_.view_strides[axis]);
      index /= size;
    }
    return load_as_float(data_, type_, place);
  }

 private:
  const dpm_constant& constant_;
  DType type_;
  const void* data_;
  std::unique_ptr<unsigned char[]> read_;
};

}  // namespace dpm
