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

/// Returns -value if the highest bit of `word` is set, else `value`.
DPM_HOST_DEVICE float negated_by(float value, std::uint32_t word) {
  return bits_float(static_cast<std::int32_t>(static_cast<std::uint32_t>(float_bits(value)) ^ (word & 0x80000000u)));
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
  // The low bits of `shifted` are n; reading them avoids a float-to-integer conversion, which is undefined for NaN.
  const std::uint32_t exponent = static_cast<std::uint32_t>(float_bits(shifted)) << 23;
  return bits_float(static_cast<std::int32_t>(static_cast<std::uint32_t>(float_bits(mantissa)) + exponent));
}

/// x * sigmoid(x).
DPM_HOST_DEVICE float silu(float x) { return x / (1.0F + exp(-x)); }

/// x * sigmoid(1.702 x), an approximation of gelu.
DPM_HOST_DEVICE float quick_gelu(float x) { return x / (1.0F + exp(-1.702F * x)); }

/// tanh(x) with an absolute error below 2e-7, from e^(-2|x|), which cannot overflow.
DPM_HOST_DEVICE float tanh(float x) {
  const float power = exp(-2.0F * (x < 0.0F ? -x : x));
  const float magnitude = (1.0F - power) / (1.0F + power);
  return x < 0.0F ? -magnitude : magnitude;
}

/// x tanh(ln(1 + e^x)), which is x n / (n + 2) with n = e^x (e^x + 2).
DPM_HOST_DEVICE float mish(float x) {
  // The quotient is 1 from x = 20 on; the limit keeps e^x squared from overflowing for much larger x.
  const float power = exp(x < 20.0F ? x : 20.0F);
  const float n = power * (power + 2.0F);
  return x * (n / (n + 2.0F));
}

/// The tail of the normal distribution beyond z in [0, 20]: erfc(z / sqrt(2)) / 2, with an absolute error of erfc below
/// 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
DPM_HOST_DEVICE float normal_tail(float z) {
  const float t = 1.0F / (1.0F + 0.3275911F * 0.70710678118654752F * z);
  float p = 1.061405429F;
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  return 0.5F * (p * t * exp(-0.5F * z * z));
}

/// Limits |x| to 20, where the tail has long vanished, because infinity times zero would be NaN.
DPM_HOST_DEVICE float limited_magnitude(float x) {
  const float magnitude = x < 0.0F ? -x : x;
  return magnitude > 20.0F ? 20.0F : magnitude;
}

/// Computes x (1 + erf(x / sqrt(2))) / 2 as max(x, 0) - |x| * tail.
DPM_HOST_DEVICE float gelu(float x) {
  const float z = limited_magnitude(x);
  return (x > 0.0F ? x : 0.0F) - z * normal_tail(z);
}

/// Computes max(x, 0); NaN stays NaN.
DPM_HOST_DEVICE float relu(float x) { return x < 0.0F ? 0.0F : x; }

/// Derivative of x * sigmoid(x).
DPM_HOST_DEVICE float silu_slope(float x) {
  const float sigmoid = 1.0F / (1.0F + exp(-x));
  return sigmoid * (1.0F + x * (1.0F - sigmoid));
}

/// Derivative of mish: t + x (1 - t^2) sigmoid(x) with t = n / (n + 2), so that 1 - t^2 = 4 (n + 1) / (n + 2)^2.
DPM_HOST_DEVICE float mish_slope(float x) {
  const float limited = x < 20.0F ? x : 20.0F;
  const float power = exp(limited);
  const float n = power * (power + 2.0F);
  const float inverse = 1.0F / (n + 2.0F);
  return n * inverse + limited * (4.0F * (n + 1.0F) * inverse * inverse) * (power / (1.0F + power));
}

/// Derivative of gelu: P(x) + x p(x), the normal distribution and its density.
DPM_HOST_DEVICE float gelu_slope(float x) {
  const float z = limited_magnitude(x);
  const float beyond = normal_tail(z);
  const float limited = x < 0.0F ? -z : z;
  return (x > 0.0F ? 1.0F - beyond : beyond) + limited * (0.39894228040143268F * exp(-0.5F * z * z));
}

/// Derivative of x * sigmoid(1.702 x).
DPM_HOST_DEVICE float quick_gelu_slope(float x) {
  const float wide = 1.702F * x;
  const float sigmoid = 1.0F / (1.0F + exp(-wide));
  return sigmoid * (1.0F + wide * (1.0F - sigmoid));
}

/// Derivative of tanh(x): 4 p / (1 + p)^2 with p = e^(-2|x|), which loses no digits where tanh is near 1.
DPM_HOST_DEVICE float tanh_slope(float x) {
  const float power = exp(-2.0F * (x < 0.0F ? -x : x));
  return 4.0F * power / ((1.0F + power) * (1.0F + power));
}

/// Derivative of max(x, 0); 0 at 0.
DPM_HOST_DEVICE float relu_slope(float x) { return x > 0.0F ? 1.0F : 0.0F; }

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
