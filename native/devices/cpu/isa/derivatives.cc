// Passes of derivatives over maps.
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"
#include "devices/cpu/isa/lane_sums.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

/// Centres `Rows` rows together: each sum waits for its own last addition only, and its order is that of the columns.
template <int Rows>
void centre_rows(const float* weights, float* factors, std::ptrdiff_t stride, int columns, float scale) {
  double sums[Rows] = {};
  for (int column = 0; column < columns; ++column) {
#pragma GCC unroll 4
    for (int row = 0; row < Rows; ++row) {
      const std::ptrdiff_t at = row * stride + column;
      sums[row] += static_cast<double>(weights[at]) * static_cast<double>(factors[at]);
    }
  }
  for (int row = 0; row < Rows; ++row) {
    const auto shift = static_cast<float>(sums[row]);
    const float* p = weights + row * stride;
    float* s = factors + row * stride;
    DPM_ELEMENTWISE
    for (int column = 0; column < columns; ++column) s[column] = scale * p[column] * (s[column] - shift);
  }
}

}  // namespace

void activation_backward(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, const float* d,
                         std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels) {
  const auto apply = [=](const auto& slope) {
    for (int p = 0; p < pixels; ++p) {
      for_channels(channels, [=](int c) { y[p * y_stride + c] = slope(x[p * x_stride + c]) * d[p * d_stride + c]; });
    }
  };
  if (kind == DPM_ACTIVATION_MISH) return apply([](float value) { return math::mish_slope(value); });
  if (kind == DPM_ACTIVATION_GELU) return apply([](float value) { return math::gelu_slope(value); });
  if (kind == DPM_ACTIVATION_RELU) return apply([](float value) { return math::relu_slope(value); });
  if (kind == DPM_ACTIVATION_QUICK_GELU) return apply([](float value) { return math::quick_gelu_slope(value); });
  if (kind == DPM_ACTIVATION_TANH) return apply([](float value) { return math::tanh_slope(value); });
  apply([](float value) { return math::silu_slope(value); });
}

void norm_derivative_sums(const NormDerivative& n, const float* mean, float* sums, float* products) {
  const auto add = [&](const auto& moved) {
    int c = 0;
    for (; c + kWidth <= n.channels; c += kWidth) {
      Vector sum{};
      Vector product{};
      for (int p = 0; p < n.pixels; ++p) {
        const float* x = n.x + p * n.x_stride;
        const float* given = n.given + p * n.given_stride;
        float values[kWidth];
        DPM_ELEMENTWISE
        for (int i = 0; i < kWidth; ++i) values[i] = moved(given[c + i], x[c + i], c + i);
        const Vector value = load(values);
        sum += value;
        product += value * (load(x + c) - load(mean + c));
      }
      store(sums + c, sum);
      store(products + c, product);
    }
    for (; c < n.channels; ++c) {
      sums[c] = products[c] = 0.0F;
      for (int p = 0; p < n.pixels; ++p) {
        const float x = n.x[p * n.x_stride + c];
        const float value = moved(n.given[p * n.given_stride + c], x, c);
        sums[c] += value;
        products[c] += value * (x - mean[c]);
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
      for_channels(n.channels, [&](int c) { out[c] = result(given[c], x[c], c); });
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

void layer_norm_backward(const LayerNormDerivative& n) {
  const float share = 1.0F / static_cast<float>(n.channels);
  for (int p = 0; p < n.pixels; ++p) {
    const float* x = n.x + p * n.x_stride;
    const float* d = n.d + p * n.d_stride;
    float* y = n.y + p * n.y_stride;
    const auto [mean, inverse] = moments_of(x, n.channels, n.epsilon);
    Vector sums{};
    Vector projections{};
    float sum = 0.0F;
    float projection = 0.0F;
    int c = 0;
    for (; c + kWidth <= n.channels; c += kWidth) {
      const Vector moved = load(d + c) * load(n.gamma + c);
      sums += moved;
      projections += moved * ((load(x + c) - mean) * inverse);
    }
    for (int lane = 0; lane < kWidth; ++lane) {
      sum += sums[lane];
      projection += projections[lane];
    }
    for (; c < n.channels; ++c) {
      sum += d[c] * n.gamma[c];
      projection += d[c] * n.gamma[c] * ((x[c] - mean) * inverse);
    }
    sum *= share;
    projection *= share;
    if (n.products != nullptr) {
      float* products = n.products + p * n.products_stride;
      for_channels(n.channels, [=](int i) { products[i] = d[i] * ((x[i] - mean) * inverse); });
    }
    for_channels(n.channels,
                 [=](int i) { y[i] = inverse * (d[i] * n.gamma[i] - sum - (x[i] - mean) * inverse * projection); });
  }
}

void geglu_backward(const float* values, const float* gates, std::ptrdiff_t x_stride, const float* d,
                    std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels) {
  for (int p = 0; p < pixels; ++p) {
    const float* value = values + p * x_stride;
    const float* gate = gates + p * x_stride;
    const float* given = d + p * d_stride;
    float* out = y + p * y_stride;
    for_channels(channels, [=](int c) {
      const float of_value = given[c] * math::gelu(gate[c]);
      const float of_gate = given[c] * value[c] * math::gelu_slope(gate[c]);
      out[c] = of_value;
      out[channels + c] = of_gate;
    });
  }
}

void softmax_derivative(const float* weights, float* factors, std::ptrdiff_t stride, int rows, int columns,
                        float scale) {
  int row = 0;
  for (; row + 4 <= rows; row += 4) {
    centre_rows<4>(weights + row * stride, factors + row * stride, stride, columns, scale);
  }
  for (; row + 2 <= rows; row += 2) {
    centre_rows<2>(weights + row * stride, factors + row * stride, stride, columns, scale);
  }
  if (row < rows) centre_rows<1>(weights + row * stride, factors + row * stride, stride, columns, scale);
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
