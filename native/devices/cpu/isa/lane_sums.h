// Sums over the channels of a pixel.
#pragma once

#include "devices/cpu/isa/vector.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

/// Sums f(x) in lanes, of which the same element always takes the same.
template <typename Function>
static inline float sum_of(const float* x, int count, const Function& f) {
  Vector lanes{};
  int i = 0;
  for (; i + kWidth <= count; i += kWidth) lanes += f(load(x + i));
  float sum = 0.0F;
  for (int lane = 0; lane < kWidth; ++lane) sum += lanes[lane];
  for (; i < count; ++i) sum += f(x[i]);
  return sum;
}

/// Moments of a pixel's channels.
struct PixelMoments {
  float mean;
  float inverse_deviation;
};

static inline PixelMoments moments_of(const float* x, int channels, float epsilon) {
  const float share = 1.0F / static_cast<float>(channels);
  const float mean = sum_of(x, channels, [](auto value) { return value; }) * share;
  const float variance = sum_of(x, channels, [=](auto value) { return (value - mean) * (value - mean); }) * share;
  return {mean, 1.0F / __builtin_sqrtf(variance + epsilon)};
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
