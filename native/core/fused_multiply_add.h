// a b + c with one rounding, the same bits on every processor. Where a product and a sum are written apart, a compiler
// may fuse them or not, and the bits depend on it.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace dpm::math {

/// Computes fused_multiply_add() in double, where the product is exact; for results that are normal numbers.
DPM_HOST_DEVICE float fused_multiply_add_in_double(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const auto addend = static_cast<double>(c);
  double sum = product + addend;
  std::int64_t bits = 0;
  std::memcpy(&bits, &sum, sizeof bits);
  // Only a sum half-way between two floats can go wrong, if it came there by rounding: the rest that it lost decides.
  if ((bits & 0x1FFFFFFF) == 0x10000000) [[unlikely]] {
    const double added = sum - product;
    const double rest = (product - (sum - added)) + (addend - added);
    if (rest != 0.0) bits += (rest < 0.0) == (sum < 0.0) ? 1 : -1;
    std::memcpy(&sum, &bits, sizeof sum);
  }
  return static_cast<float>(sum);
}

/// a b + c, rounded once.
DPM_HOST_DEVICE float fused_multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#elif defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return fused_multiply_add_in_double(a, b, c);
#endif
}

}  // namespace dpm::math
