// Storage types of weights and their exact conversion to float32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace dpm {

enum class DType : std::uint32_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2 };

constexpr std::size_t dtype_size(DType type) { return type == DType::kFloat32 ? 4 : 2; }

/// Converts IEEE binary16 to binary32, exactly, subnormals included. It has no branches, so that loops of it become
/// vectors.
DPM_HOST_DEVICE float half_to_float(std::uint16_t bits) {
  const std::uint32_t exponent = (bits >> 10) & 0x1Fu;
  const std::uint32_t mantissa = bits & 0x3FFu;
  const float small = static_cast<float>(static_cast<std::int32_t>(mantissa)) * 0x1p-24F;
  std::uint32_t subnormal = 0;
  std::memcpy(&subnormal, &small, sizeof subnormal);
  // All bits where it holds: compilers make branches of what is chosen otherwise, as arithmetic might trap.
  const std::uint32_t is_small = 0U - static_cast<std::uint32_t>(exponent == 0);
  const std::uint32_t is_infinite = 0U - static_cast<std::uint32_t>(exponent == 31);
  const std::uint32_t normal = ((exponent + 112 + (112 & is_infinite)) << 23) | (mantissa << 13);
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t word = sign | (subnormal & is_small) | (normal & ~is_small);
  float value = 0;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

/// Returns the nearest IEEE binary16 number, ties to even; numbers that are too large become infinite, NaN stays NaN.
DPM_HOST_DEVICE std::uint16_t float_to_half(float value) {
  std::uint32_t word = 0;
  std::memcpy(&word, &value, sizeof word);
  const auto sign = static_cast<std::uint16_t>((word >> 16) & 0x8000u);
  const std::uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    const float size = value < 0.0F ? -value : value;
    const float shifted = size + 0.5F;
    std::uint32_t bits = 0;
    std::memcpy(&bits, &shifted, sizeof bits);
    return static_cast<std::uint16_t>(sign | (bits - 0x3F000000u));
  }
  const std::uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

/// Converts bfloat16 to binary32, exactly.
DPM_HOST_DEVICE float bfloat16_to_float(std::uint16_t bits) {
  const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

/// Returns the nearest bfloat16 number, ties to even; NaN stays NaN.
DPM_HOST_DEVICE std::uint16_t float_to_bfloat16(float value) {
  std::uint32_t word = 0;
  std::memcpy(&word, &value, sizeof word);
  if (value != value) return static_cast<std::uint16_t>((word | 0x400000u) >> 16);
  return static_cast<std::uint16_t>((word + 0x7FFFu + ((word >> 16) & 1u)) >> 16);
}

/// Reads `count` elements from element `first` on of an array of `type` at `data`, which needs no alignment.
inline void load_as_floats(const void* data, DType type, std::size_t first, std::size_t count, float* to) {
  const auto* bytes = static_cast<const unsigned char*>(data) + first * dtype_size(type);
  if (type == DType::kFloat32) {
    std::memcpy(to, bytes, count * sizeof(float));
    return;
  }
  // Short runs are copied first, as what has no alignment would be read one by one.
  constexpr std::size_t kRun = 256;
  std::uint16_t run[kRun];
  for (std::size_t done = 0; done < count; done += kRun) {
    const std::size_t length = count - done < kRun ? count - done : kRun;
    std::memcpy(run, bytes + done * sizeof(std::uint16_t), length * sizeof(std::uint16_t));
    if (type == DType::kFloat16) {
      for (std::size_t i = 0; i < length; ++i) to[done + i] = half_to_float(run[i]);
    } else {
      for (std::size_t i = 0; i < length; ++i) to[done + i] = bfloat16_to_float(run[i]);
    }
  }
}

/// Reads element `index` of an array of `type` at `data`, which needs no alignment.
inline float load_as_float(const void* data, DType type, std::size_t index) {
  const auto* bytes = static_cast<const unsigned char*>(data) + index * dtype_size(type);
  if (type == DType::kFloat32) {
    float value = 0;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return type == DType::kFloat16 ? half_to_float(bits) : bfloat16_to_float(bits);
}

}  // namespace dpm
