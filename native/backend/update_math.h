// The arithmetic of a record (record.h), element by element; CPU and CUDA kernels share it.
#pragma once

#include <cmath>
#include <cstdint>

#include "backend/record.h"
#include "core/host_device.h"
#include "core/scalar_math.h"

namespace dpm::update {

DPM_HOST_DEVICE float clamp(float value, float low, float high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

/// The 8-bit level of a number in model space, [-1, 1] (dpm_backend::download_levels).
DPM_HOST_DEVICE std::uint8_t level(float value) {
  const double rounded = ::floor(127.5 * (static_cast<double>(value) + 1.0) + 0.5);
  // A comparison with NaN is false.
  if (!(rounded > 0.0)) return 0;
  return rounded < 255.0 ? static_cast<std::uint8_t>(rounded) : 255;
}

/// The data prediction before clipping.
DPM_HOST_DEVICE float data_prediction(const dpm_record& record, float in, float out) {
  return record.x0_in * in + record.x0_out * out;
}

/// Computes the threshold of dynamic clipping from the quantile of |x0|.
DPM_HOST_DEVICE float dynamic_threshold(const dpm_record& record, float quantile) {
  return clamp(quantile, record.clip_high, record.clip_ceiling);
}

/// The data prediction after dynamic thresholding with threshold s.
DPM_HOST_DEVICE float thresholded(float x0, float s) { return clamp(x0, -s, s) / s; }

/// Computes the entry of the history: the solver's own variable, noise or data.
DPM_HOST_DEVICE float solver_variable(const dpm_record& record, float in, float x0) {
  return record.history_in * in + record.history_x0 * x0;
}

/// Computes the variance of the linear form from the head and the unclipped noise prediction.
DPM_HOST_DEVICE float linear_variance(const dpm_record& record, float in, float out, float head) {
  const float epsilon = record.eps_in * in + record.eps_out * out;
  return clamp(record.v0 + record.v1 * head + record.v2 * (epsilon * epsilon), record.low, record.high);
}

/// Computes the variance of the logarithmic form (learned range).
DPM_HOST_DEVICE float log_variance(const dpm_record& record, float head) {
  return clamp(math::exp(record.v0 + record.v1 * head), record.low, record.high);
}

}  // namespace dpm::update
