// Access to weights of any location, storage type and layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

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

/// The elements of a weight as float32 in row-major order. They occupy memory for the lifetime of this object unless
/// the weight lies in memory that way already, so devices hold few at a time.
class ConstantElements {
 public:
  /// Reads the weight where it is not in memory; throws the errors of reading.
  explicit ConstantElements(const dpm_constant& constant) : size_(element_count(constant)) {
    std::unique_ptr<unsigned char[]> read;
    const void* data = constant.data;
    if (data == nullptr) {
      read = std::make_unique_for_overwrite<unsigned char[]>(constant.bytes);
      dpm_message message{};
      check(constant.read(constant.source, read.get(), &message), message);
      data = read.get();
    }
    const auto type = static_cast<DType>(constant.dtype);
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0;
    if (type == DType::kFloat32 && constant.view_rank == 0 && is_aligned) {
      bytes_ = std::move(read);
      floats_ = reinterpret_cast<const float*>(data);
      return;
    }
    converted_ = std::make_unique_for_overwrite<float[]>(size_);
    floats_ = converted_.get();
    convert(constant, data, type);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const float* floats() const { return floats_; }

  /// Returns element `index` in row-major order.
  float operator[](std::size_t index) const { return floats_[index]; }

 private:
  void convert(const dpm_constant& constant, const void* data, DType type) {
    float* to = converted_.get();
    if (constant.view_rank == 0) {
      for (std::size_t i = 0; i < size_; ++i) to[i] = load_as_float(data, type, i);
      return;
    }
    const std::uint32_t last = constant.view_rank - 1;
    const auto row = static_cast<std::size_t>(constant.view_dims[last]);
    const auto stride = static_cast<std::size_t>(constant.view_strides[last]);
    for (std::size_t done = 0; done < size_; done += row) {
      std::size_t index = done / row;
      std::size_t place = 0;
      for (std::uint32_t axis = last; axis-- > 0;) {
        const auto extent = static_cast<std::size_t>(constant.view_dims[axis]);
        place += index % extent * static_cast<std::size_t>(constant.view_strides[axis]);
        index /= extent;
      }
      for (std::size_t i = 0; i < row; ++i) to[done + i] = load_as_float(data, type, place + i * stride);
    }
  }

  std::size_t size_;
  std::unique_ptr<unsigned char[]> bytes_;
  std::unique_ptr<float[]> converted_;
  const float* floats_ = nullptr;
};

}  // namespace dpm
