// Passes over maps: statistics, per-channel affine with SiLU, sums, softmax.
#include "core/scalar_math.h"
#include "cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

// Sums of differences from the first pixel: shifting keeps the squares small, so that one pass loses no digits where
// the mean is large against the deviation.
void channel_statistics(const float* x, std::ptrdiff_t stride, int pixels, int channels, float* mean,
                        float* deviation) {
  for (int c = 0; c < channels; ++c) mean[c] = deviation[c] = 0.0F;
  for (int p = 1; p < pixels; ++p) {
    const float* row = x + p * stride;
    for (int c = 0; c < channels; ++c) {
      const float difference = row[c] - x[c];
      mean[c] += difference;
      deviation[c] += difference * difference;
    }
  }
  const float inverse = 1.0F / static_cast<float>(pixels);
  for (int c = 0; c < channels; ++c) {
    const float sum = mean[c];
    const float squares = deviation[c] - sum * sum * inverse;
    mean[c] = x[c] + sum * inverse;
    deviation[c] = squares > 0.0F ? squares : 0.0F;
  }
}

void channel_affine(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                    int channels, const float* a, const float* b, bool silu) {
  for (int p = 0; p < pixels; ++p) {
    const float* in = x + p * x_stride;
    float* out = y + p * y_stride;
    if (silu) {
      for (int c = 0; c < channels; ++c) out[c] = math::silu(in[c] * a[c] + b[c]);
    } else {
      for (int c = 0; c < channels; ++c) out[c] = in[c] * a[c] + b[c];
    }
  }
}

void add(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
         std::ptrdiff_t y_stride, int pixels, int channels) {
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < channels; ++c) y[p * y_stride + c] = a[p * a_stride + c] + b[p * b_stride + c];
  }
}

void softmax(float* row, int columns, float scale) {
  float maximum = row[0];
  for (int i = 1; i < columns; ++i) maximum = row[i] > maximum ? row[i] : maximum;
  const float shift = maximum * scale;
  for (int i = 0; i < columns; ++i) row[i] = math::exp(row[i] * scale - shift);
  float lanes[kWidth] = {};
  int i = 0;
  for (; i + kWidth <= columns; i += kWidth) {
    for (int lane = 0; lane < kWidth; ++lane) lanes[lane] += row[i + lane];
  }
  float sum = 0.0F;
  for (const float lane : lanes) sum += lane;
  for (; i < columns; ++i) sum += row[i];
  const float inverse = 1.0F / sum;
  for (i = 0; i < columns; ++i) row[i] *= inverse;
}

void scaled_copy(const float* source, float scale, float* destination, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) destination[i] = scale * source[i];
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
