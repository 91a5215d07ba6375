// Passes over maps: statistics, per-channel affine with SiLU, activations, sums, softmax.
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

namespace {

/// Sums and sums of squares of `Vectors` vectors of channels. Differences from the first pixel keep the squares small,
/// so that one pass loses no digits where the mean is large compared with the deviation.
template <int Vectors>
void accumulate_statistics(const float* x, std::ptrdiff_t stride, int pixels, float* mean, float* deviation) {
  Vector shift[Vectors];
  Vector sum[Vectors];
  Vector squares[Vectors];
  for (int v = 0; v < Vectors; ++v) {
    shift[v] = load(x + v * kWidth);
    sum[v] = squares[v] = Vector{};
  }
  for (int p = 1; p < pixels; ++p) {
    for (int v = 0; v < Vectors; ++v) {
      const Vector difference = load(x + p * stride + v * kWidth) - shift[v];
      sum[v] += difference;
      squares[v] += difference * difference;
    }
  }
  const float inverse = 1.0F / static_cast<float>(pixels);
  for (int v = 0; v < Vectors; ++v) {
    const Vector spread = squares[v] - sum[v] * sum[v] * inverse;
    store(mean + v * kWidth, shift[v] + sum[v] * inverse);
    store(deviation + v * kWidth, spread > 0.0F ? spread : Vector{});
  }
}

/// Sums and sum of squares of one channel.
void accumulate_channel(const float* x, std::ptrdiff_t stride, int pixels, float* mean, float* deviation) {
  float sum = 0.0F;
  float squares = 0.0F;
  for (int p = 1; p < pixels; ++p) {
    const float difference = x[p * stride] - *x;
    sum += difference;
    squares += difference * difference;
  }
  const float inverse = 1.0F / static_cast<float>(pixels);
  const float spread = squares - sum * sum * inverse;
  *mean = *x + sum * inverse;
  *deviation = spread > 0.0F ? spread : 0.0F;
}

}  // namespace

void channel_statistics(const float* x, std::ptrdiff_t stride, int pixels, int channels, float* mean,
                        float* deviation) {
  int c = 0;
  for (; c + 4 * kWidth <= channels; c += 4 * kWidth) {
    accumulate_statistics<4>(x + c, stride, pixels, mean + c, deviation + c);
  }
  for (; c + kWidth <= channels; c += kWidth) {
    accumulate_statistics<1>(x + c, stride, pixels, mean + c, deviation + c);
  }
  for (; c < channels; ++c) accumulate_channel(x + c, stride, pixels, mean + c, deviation + c);
}

void channel_affine(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                    int channels, const float* a, const float* b, bool silu) {
  for (int p = 0; p < pixels; ++p) {
    const float* in = x + p * x_stride;
    float* out = y + p * y_stride;
    if (silu) {
      DPM_ELEMENTWISE
      for (int c = 0; c < channels; ++c) out[c] = math::silu(in[c] * a[c] + b[c]);
    } else {
      DPM_ELEMENTWISE
      for (int c = 0; c < channels; ++c) out[c] = in[c] * a[c] + b[c];
    }
  }
}

void activation(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
                int pixels, int channels) {
  const auto apply = [=](const auto& function) {
    for (int p = 0; p < pixels; ++p) {
      DPM_ELEMENTWISE
      for (int c = 0; c < channels; ++c) y[p * y_stride + c] = function(x[p * x_stride + c]);
    }
  };
  if (kind == DPM_ACTIVATION_MISH) return apply([](float value) { return math::mish(value); });
  if (kind == DPM_ACTIVATION_GELU) return apply([](float value) { return math::gelu(value); });
  apply([](float value) { return math::relu(value); });
}

void add(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
         std::ptrdiff_t y_stride, int pixels, int channels) {
  for (int p = 0; p < pixels; ++p) {
    DPM_ELEMENTWISE
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
  DPM_ELEMENTWISE
  for (std::uint64_t i = 0; i < count; ++i) destination[i] = scale * source[i];
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
