// Access to weights of any location, storage type and layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "backend/backend.h"
#include "backend/c_enums.h"
#include "backend/guard.h"
#include "core/aligned_buffer.h"
#include "core/dtype.h"
#include "core/strided.h"

namespace dpm {

inline std::size_t element_count(const dpm_constant& constant) {
  std::size_t elements = 1;
  for (std::uint32_t i = 0; i < constant.rank; ++i) elements *= static_cast<std::size_t>(constant.dims[i]);
  return elements;
}

/// Memory that weights are read into one after the other. What a system gives anew costs more time than reading does:
/// it is cleared, page by page, at the first touch.
class ReadMemory {
 public:
  unsigned char* bytes(std::size_t size) { return static_cast<unsigned char*>(grown(bytes_, size)); }
  float* floats(std::size_t size) { return static_cast<float*>(grown(floats_, size * sizeof(float))); }

 private:
  static void* grown(AlignedBuffer& buffer, std::size_t bytes) {
    if (buffer.size() < bytes) {
      // Not both at once.
      buffer = AlignedBuffer();
      buffer = AlignedBuffer(bytes);
    }
    return buffer.data();
  }

  AlignedBuffer bytes_;
  AlignedBuffer floats_;
};

/// The elements of a weight as float32 in row-major order. They occupy memory for the lifetime of this object unless
/// the weight lies in memory that way already, so devices hold few at a time.
class ConstantElements {
 public:
  /// Reads the weight where it is not in memory; throws the errors of reading.
  explicit ConstantElements(const dpm_constant& constant) : ConstantElements(constant, nullptr) {}
  /// Reads the weight into `memory`, which has to live as long and must not be used for another one meanwhile.
  ConstantElements(const dpm_constant& constant, ReadMemory& memory) : ConstantElements(constant, &memory) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const float* floats() const { return floats_; }

  /// Returns element `index` in row-major order.
  float operator[](std::size_t index) const { return floats_[index]; }

 private:
  ConstantElements(const dpm_constant& constant, ReadMemory* memory) : size_(element_count(constant)) {
    if (memory == nullptr) {
      own_ = std::make_unique<ReadMemory>();
      memory = own_.get();
    }
    const void* data = constant.data;
    if (data == nullptr) {
      unsigned char* read = memory->bytes(constant.bytes);
      dpm_message message{};
      check(constant.read(constant.source, read, &message), message);
      data = read;
    }
    const auto type = static_cast<DType>(constant.dtype);
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0;
    if (type == DType::kFloat32 && constant.view_rank == 0 && is_aligned) {
      floats_ = reinterpret_cast<const float*>(data);
      return;
    }
    float* converted = memory->floats(size_);
    floats_ = converted;
    const std::size_t rank = constant.view_rank;
    load_strided(data, type, {constant.view_dims, rank}, {constant.view_strides, rank}, size_, converted);
  }

  std::size_t size_;
  std::unique_ptr<ReadMemory> own_;
  const float* floats_ = nullptr;
};

}  // namespace dpm
