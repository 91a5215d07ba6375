// Passes of derivatives over maps.
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {

void activation_backward(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, const float* d,
                         std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels) {
  const auto apply = [=](const auto& slope) {
    for (int p = 0; p < pixels; ++p) {
      DPM_ELEMENTWISE
      for (int c = 0; c < channels; ++c) y[p * y_stride + c] = slope(x[p * x_stride + c]) * d[p * d_stride + c];
    }
  };
  if (kind == DPM_ACTIVATION_MISH) return apply([](float value) { return math::mish_slope(value); });
  if (kind == DPM_ACTIVATION_GELU) return apply([](float value) { return math::gelu_slope(value); });
  if (kind == DPM_ACTIVATION_RELU) return apply([](float value) { return math::relu_slope(value); });
  apply([](float value) { return math::silu_slope(value); });
}

void norm_derivative_sums(const NormDerivative& n, const float* mean, float* sums, float* products) {
  for (int c = 0; c < n.channels; ++c) sums[c] = products[c] = 0.0F;
  const auto add = [&](const auto& moved) {
    for (int p = 0; p < n.pixels; ++p) {
      const float* x = n.x + p * n.x_stride;
      const float* given = n.given + p * n.given_stride;
      DPM_ELEMENTWISE
      for (int c = 0; c < n.channels; ++c) {
        const float value = moved(given[c], x[c], c);
        sums[c] += value;
        products[c] += value * (x[c] - mean[c]);
      }
    }
  };
  if (n.backward && n.silu) {
    add([&](float given, float x, int c) { return given * math::silu_slope(x * n.a[c] + n.b[c]); });
  } else {
    add([](float given, float /*x*/, int /*c*/) { return given; });
  }
}

void norm_derivative(const NormDerivative& n, const float* p, const float* q, const float* r, float* y,
                     std::ptrdiff_t y_stride) {
  const auto apply = [&](const auto& result) {
    for (int pixel = 0; pixel < n.pixels; ++pixel) {
      const float* x = n.x + pixel * n.x_stride;
      const float* given = n.given + pixel * n.given_stride;
      float* out = y + pixel * y_stride;
      DPM_ELEMENTWISE
      for (int c = 0; c < n.channels; ++c) out[c] = result(given[c], x[c], c);
    }
  };
  if (!n.silu) {
    apply([&](float given, float x, int c) { return p[c] * given + (q[c] * x + r[c]); });
  } else if (n.backward) {
    apply([&](float given, float x, int c) {
      return p[c] * (given * math::silu_slope(x * n.a[c] + n.b[c])) + (q[c] * x + r[c]);
    });
  } else {
    apply([&](float given, float x, int c) {
      return math::silu_slope(x * n.a[c] + n.b[c]) * (p[c] * given + (q[c] * x + r[c]));
    });
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
