// Branch-free float32 functions: a compiler turns loops over them into vector code, and every device computes the same.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace dpm::math {

DPM_HOST_DEVICE std::int32_t float_bits(float value) {
  std::int32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

DPM_HOST_DEVICE float bits_float(std::int32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// e^x, relative error below 2e-7; saturates at both ends of the normal range, NaN stays NaN.
DPM_HOST_DEVICE float exp(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  constexpr float kRound = 12582912.0F;
  const float shifted = x * 1.44269504088896341F + kRound;
  const float n = shifted - kRound;
  float r = x - n * 0.693359375F;
  r = r - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float mantissa = p * (r * r) + r + 1.0F;
  // The low bits of `shifted` are n: no conversion that a NaN would make undefined.
  const std::uint32_t exponent = static_cast<std::uint32_t>(float_bits(shifted)) << 23;
  return bits_float(static_cast<std::int32_t>(static_cast<std::uint32_t>(float_bits(mantissa)) + exponent));
}

/// x * sigmoid(x).
DPM_HOST_DEVICE float silu(float x) { return x / (1.0F + exp(-x)); }

/// ln(1 + f) + e ln 2 for f in [sqrt(1/2) - 1, sqrt(2) - 1], relative error below 1.5e-7. The polynomial is the one of
/// its degree whose largest relative error is least; without a quotient it takes half the time.
DPM_HOST_DEVICE float log1p_scaled(float f, float e) {
  float p = 8.700361102819443e-2F;
  p = p * f - 1.426747590303421e-1F;
  p = p * f + 1.491478681564331e-1F;
  p = p * f - 1.65775865316391e-1F;
  p = p * f + 1.9963061809539795e-1F;
  p = p * f - 2.500133812427521e-1F;
  p = p * f + 3.333390951156616e-1F;
  return e * 0.693147180559945F + ((p * f - 0.5F) * (f * f) + f);
}

/// sin(x) for x in [-pi/4, pi/4].
DPM_HOST_DEVICE float sin_quarter(float x) {
  const float z = x * x;
  float p = -1.9515295891e-4F;
  p = p * z + 8.3321608736e-3F;
  p = p * z - 1.6666654611e-1F;
  return p * z * x + x;
}

/// cos(x) for x in [-pi/4, pi/4].
DPM_HOST_DEVICE float cos_quarter(float x) {
  const float z = x * x;
  float p = 2.443315711809948e-5F;
  p = p * z - 1.388731625493765e-3F;
  p = p * z + 4.166664568298827e-2F;
  return p * (z * z) - 0.5F * z + 1.0F;
}

}  // namespace dpm::math
