// Passes over maps: statistics, norms of pixels, per-channel affine with SiLU, activations, sums, softmax.
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"
#include "devices/cpu/isa/lane_sums.h"

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

/// Returns the largest of `least` and all x; a NaN is passed over.
float maximum_of(const float* x, int count, float least) {
  Vector lanes = Vector{} + least;
  int i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    const Vector value = load(x + i);
    lanes = value > lanes ? value : lanes;
  }
  float maximum = least;
  for (int lane = 0; lane < kWidth; ++lane) maximum = lanes[lane] > maximum ? lanes[lane] : maximum;
  for (; i < count; ++i) maximum = x[i] > maximum ? x[i] : maximum;
  return maximum;
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
      for_channels(channels, [=](int c) { out[c] = math::silu(in[c] * a[c] + b[c]); });
    } else {
      for_channels(channels, [=](int c) { out[c] = in[c] * a[c] + b[c]; });
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
  if (kind == DPM_ACTIVATION_QUICK_GELU) return apply([](float value) { return math::quick_gelu(value); });
  if (kind == DPM_ACTIVATION_TANH) return apply([](float value) { return math::tanh(value); });
  apply([](float value) { return math::relu(value); });
}

void add(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
         std::ptrdiff_t y_stride, int pixels, int channels) {
  for (int p = 0; p < pixels; ++p) {
    for_channels(channels, [=](int c) { y[p * y_stride + c] = a[p * a_stride + c] + b[p * b_stride + c]; });
  }
}

void layer_norm(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels,
                const float* gamma, const float* beta, float epsilon) {
  for (int p = 0; p < pixels; ++p) {
    const float* in = x + p * x_stride;
    float* out = y + p * y_stride;
    const auto [mean, inverse] = moments_of(in, channels, epsilon);
    DPM_ELEMENTWISE
    for (int c = 0; c < channels; ++c) out[c] = (in[c] - mean) * inverse * gamma[c] + beta[c];
  }
}

void geglu(const float* values, const float* gates, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
           int pixels, int channels) {
  for (int p = 0; p < pixels; ++p) {
    const float* value = values + p * x_stride;
    const float* gate = gates + p * x_stride;
    float* out = y + p * y_stride;
    DPM_ELEMENTWISE
    for (int c = 0; c < channels; ++c) out[c] = value[c] * math::gelu(gate[c]);
  }
}

void softmax_part(float* row, int columns, float scale, const float* addend, RunningSoftmax& state) {
  DPM_ELEMENTWISE
  for (int i = 0; i < columns; ++i) row[i] = row[i] * scale + (addend == nullptr ? 0.0F : addend[i]);
  const float maximum = maximum_of(row, columns, state.maximum);
  DPM_ELEMENTWISE
  for (int i = 0; i < columns; ++i) row[i] = math::exp(row[i] - maximum);
  state.factor = math::exp(state.maximum - maximum);
  state.sum = state.sum * state.factor + sum_of(row, columns, [](auto value) { return value; });
  state.maximum = maximum;
}

void softmax(float* row, int columns, float scale) {
  RunningSoftmax state{row[0] * scale, 0, 1};
  softmax_part(row, columns, scale, nullptr, state);
  const float inverse = 1.0F / state.sum;
  for (int i = 0; i < columns; ++i) row[i] *= inverse;
}

void scaled_copy(const float* source, float scale, float* destination, std::uint64_t count) {
  DPM_ELEMENTWISE
  for (std::uint64_t i = 0; i < count; ++i) destination[i] = scale * source[i];
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
