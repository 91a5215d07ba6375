// Rounding to bfloat16 numbers whose errors cancel.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace dpm::cpu {

/// Number of taps of the largest kernel that is rounded so.
constexpr int kMostTaps = 49;

/// Rounds the taps of one input channel of one output channel, each up or down, so that the sum of the squared errors
/// plus kLikeness times the square of the errors' sum is least. Neighbouring pixels are much alike, so a convolution's
/// error is mostly the errors' sum, and it is the same in every step of a run. Numbers that bfloat16 represents exactly
/// stay as they are.
inline void round_together(const float* taps, int count, std::uint16_t* bits) {
  constexpr float kLikeness = 4;
  std::array<float, kMostTaps> errors{};
  float sum = 0;
  for (int i = 0; i < count; ++i) {
    bits[i] = float_to_bfloat16(taps[i]);
    errors[i] = bfloat16_to_float(bits[i]) - taps[i];
    sum += errors[i];
  }
  for (int change = 0; change < count; ++change) {
    int best = -1;
    std::uint16_t best_bits = 0;
    float best_gain = 0;
    for (int i = 0; i < count; ++i) {
      if (!(errors[i] * sum > 0)) continue;
      // The other candidate is the neighbour on the opposite side: towards zero where the magnitude is too large.
      const bool too_large = (errors[i] > 0) == (taps[i] > 0);
      const auto other = static_cast<std::uint16_t>(bits[i] + (too_large ? -1 : 1));
      const float error = bfloat16_to_float(other) - taps[i];
      const float rest = sum - errors[i] + error;
      const float gain = errors[i] * errors[i] - error * error + kLikeness * (sum * sum - rest * rest);
      if (gain > best_gain) {
        best = i;
        best_bits = other;
        best_gain = gain;
      }
    }
    if (best < 0) return;
    bits[best] = best_bits;
    const float error = bfloat16_to_float(best_bits) - taps[best];
    sum += error - errors[best];
    errors[best] = error;
  }
}

}  // namespace dpm::cpu
