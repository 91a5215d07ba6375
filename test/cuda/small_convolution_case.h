// Cases of the convolution of small maps, and their results by a plain loop in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "cuda/kernels/small_convolution.h"
#include "kernel_case.h"
#include "product_sum.h"

namespace dpm::test {

/// Operands of a case that may be absent.
struct SmallConvolutionOperands {
  bool norm_silu, norm_bias, norm_vector, scale_shift, bias, vector, residual, in_place, silu;
  float scale;

  static SmallConvolutionOperands all() { return {true, true, true, true, true, true, true, false, false, 0.75F}; }
  static SmallConvolutionOperands none() { return {false, false, false, false, false, false, false, false, false, 1}; }
  static SmallConvolutionOperands some(RandomValues& random) {
    const auto coin = [&random] { return random.between(0, 1) == 1; };
    return {coin(), coin(), coin(), coin(), coin(), coin(), coin(), coin(), coin(), coin() ? 1.0F : 0.75F};
  }
};

/// Returns the shape for a map of `height` x `width`, padded for its stride: on all sides, or below and to the right.
inline cuda::SmallConvolutionShape small_convolution_shape(int batch, int height, int width, int in, int out,
                                                           int kernel, int stride, int groups) {
  const int padding = stride == 1 ? kernel - 1 : kernel / 2;
  return {batch,
          height,
          width,
          in,
          (height + padding - kernel) / stride + 1,
          (width + padding - kernel) / stride + 1,
          out,
          kernel,
          stride,
          stride == 1 ? kernel / 2 : 0,
          groups};
}

template <typename T>
struct SmallConvolutionCase {
  SmallConvolutionCase(const cuda::SmallConvolutionShape& shape, const SmallConvolutionOperands& operands,
                       RandomValues& random)
      : x(random_map<T>(random, shape.batch, shape.in_height * shape.in_width, shape.in_channels, 8)),
        y(random_map<T>(random, shape.batch, shape.out_height * shape.out_width, shape.out_channels, 4)),
        residual(random_map<T>(random, shape.batch, shape.out_height * shape.out_width, shape.out_channels, 4)),
        workspace(static_cast<std::size_t>(cuda::small_convolution_workspace(shape)),
                  std::numeric_limits<float>::quiet_NaN()),
        counters(static_cast<std::size_t>(cuda::small_convolution_counters(shape)), 0U) {
    // The values are far from zero: their variance is a small difference of large sums.
    for (T& value : x.values()) value = cuda::from_float<T>(3.0F + 2.0F * cuda::to_float(value));
    const auto in = static_cast<std::size_t>(shape.in_channels);
    const auto out = static_cast<std::size_t>(shape.out_channels);
    const auto batch = static_cast<std::size_t>(shape.batch);
    const std::size_t depth = static_cast<std::size_t>(shape.kernel) * static_cast<std::size_t>(shape.kernel) * in;
    weight = stored<T>(random.normals(out * depth, 1.0F / std::sqrt(static_cast<float>(depth))));
    gamma = on_device(random.normals(in, 0.5F, 1.0F));
    beta = on_device(random.normals(in));
    norm_bias = on_device(random.normals(in));
    norm_vector = stored<T>(random.normals(batch * (in + 8)));
    scale_shift = stored<T>(random.normals(batch * (2 * in + 16), 0.5F));
    bias = on_device(random.normals(out));
    vector = stored<T>(random.normals(batch * (out + 4)));
    before = y.values();
    set(shape, operands);
  }

  void set(const cuda::SmallConvolutionShape& shape, const SmallConvolutionOperands& operands) {
    cuda::SmallConvolutionArguments<T>& a = arguments;
    a.shape = shape;
    a.x = x.input();
    if (shape.groups > 0) {
      a.norm = {gamma.data(),
                beta.data(),
                0.25F,
                operands.norm_silu,
                operands.norm_bias ? norm_bias.data() : nullptr,
                operands.norm_vector ? norm_vector.data() : nullptr,
                shape.in_channels + 8,
                operands.scale_shift ? scale_shift.data() : nullptr,
                2 * shape.in_channels + 16};
    }
    a.weight = weight.data();
    a.y = y.map();
    a.bias = operands.bias ? bias.data() : nullptr;
    a.vector = operands.vector ? vector.data() : nullptr;
    a.vector_stride = shape.out_channels + 4;
    if (operands.residual) a.residual = operands.in_place ? y.input() : residual.input();
    a.scale = operands.scale;
    a.silu = operands.silu;
    a.workspace = workspace.data();
    a.counters = counters.data();
  }

  /// Runs the kernel; returns the whole wider map of y.
  DeviceVector<T> run() {
    y.values() = before;
    cuda::small_convolution(arguments, nullptr);
    synchronize();
    return y.values();
  }

  WideMap<T> x, y, residual;
  DeviceVector<T> weight, norm_vector, scale_shift, vector, before;
  DeviceVector<float> gamma, beta, norm_bias, bias, workspace;
  DeviceVector<unsigned> counters;
  cuda::SmallConvolutionArguments<T> arguments{};
};

/// Computes the norm's result, [sample][pixel][channel], as T.
template <typename T>
std::vector<double> normed_map_of(const cuda::SmallConvolutionArguments<T>& a) {
  const int pixels = a.shape.in_height * a.shape.in_width;
  const int channels = a.shape.in_channels;
  std::vector<double> map(static_cast<std::size_t>(a.shape.batch) * static_cast<std::size_t>(pixels * channels));
  const auto at = [&](int n, int pixel, int c) -> double& {
    return map[(static_cast<std::size_t>(n) * pixels + pixel) * channels + c];
  };
  const int of_group = a.shape.groups == 0 ? channels : channels / a.shape.groups;
  for (int n = 0; n < a.shape.batch; ++n) {
    for (int first = 0; first < channels; first += of_group) {
      const auto for_all = [&](const auto& body) {
        for (int pixel = 0; pixel < pixels; ++pixel) {
          for (int c = first; c < first + of_group; ++c) body(pixel, c, at(n, pixel, c));
        }
      };
      for_all([&](int pixel, int c, double& value) { value = value_of(a.x, n, pixel, c); });
      if (a.shape.groups == 0) continue;
      for_all([&](int, int c, double& value) {
        if (a.norm.bias != nullptr) value += static_cast<double>(a.norm.bias[c]);
        if (a.norm.vector != nullptr) value += value_of(a.norm.vector + n * a.norm.vector_stride, c);
      });
      double mean = 0;
      for_all([&](int, int, double value) { mean += value / of_group / pixels; });
      double variance = 0;
      for_all([&](int, int, double value) { variance += (value - mean) * (value - mean) / of_group / pixels; });
      for_all([&](int, int c, double& value) {
        value = (value - mean) / std::sqrt(variance + static_cast<double>(a.norm.epsilon));
        value = value * static_cast<double>(a.norm.gamma[c]) + static_cast<double>(a.norm.beta[c]);
        if (a.norm.scale_shift != nullptr) {
          const T* row = a.norm.scale_shift + n * a.norm.scale_shift_stride;
          value = value * (1 + value_of(row, c)) + value_of(row, channels + c);
        }
        if (a.norm.silu) value /= 1 + std::exp(-value);
        value = static_cast<double>(cuda::to_float(cuda::from_float<T>(static_cast<float>(value))));
      });
    }
  }
  return map;
}

/// The result of a plain loop for a case, and the allowed errors of the kernel.
struct SmallConvolutionReference {
  std::vector<double> result;  ///< numbers of the whole wider map
  std::vector<double> bound;   ///< bound per number, 0 outside of y's channels
};

template <typename T>
ProductSum product_at(const cuda::SmallConvolutionArguments<T>& a, const std::vector<double>& map, int n, int pixel,
                      int c) {
  const cuda::SmallConvolutionShape& s = a.shape;
  ProductSum sum;
  for (int tap = 0; tap < s.kernel * s.kernel; ++tap) {
    const int i = pixel / s.out_width * s.stride - s.pad_before + tap / s.kernel;
    const int j = pixel % s.out_width * s.stride - s.pad_before + tap % s.kernel;
    if (i < 0 || i >= s.in_height || j < 0 || j >= s.in_width) continue;
    const double* row =
        map.data() + ((static_cast<std::int64_t>(n) * s.in_height + i) * s.in_width + j) * s.in_channels;
    const T* weight = a.weight + (static_cast<std::int64_t>(c) * s.kernel * s.kernel + tap) * s.in_channels;
    for (int k = 0; k < s.in_channels; ++k) sum.add(row[k] * value_of(weight, k));
  }
  return sum;
}

/// Adds up the header's bound; SiLU's slope is at most 1.1. Of the norm's results, four of those with the largest
/// effect may be rounded the other way.
template <typename T>
SmallConvolutionReference reference_of(SmallConvolutionCase<T>& test) {
  constexpr double kUnit = std::is_same_v<T, cuda::Half> ? 0x1p-11 : 0x1p-8;
  const cuda::SmallConvolutionArguments<T>& a = test.arguments;
  test.y.values() = test.before;
  const std::vector<double> map = normed_map_of(a);
  SmallConvolutionReference reference;
  for (const T value : test.before) reference.result.push_back(static_cast<double>(cuda::to_float(value)));
  reference.bound.resize(reference.result.size());
  for (int n = 0; n < a.shape.batch; ++n) {
    for (int pixel = 0; pixel < a.shape.out_height * a.shape.out_width; ++pixel) {
      for (int c = 0; c < a.shape.out_channels; ++c) {
        ProductSum sum = product_at(a, map, n, pixel, c);
        const double flips = a.shape.groups == 0 ? 0 : 4 * 2 * kUnit * sum.largest;
        if (a.bias != nullptr) sum.add(static_cast<double>(a.bias[c]));
        if (a.vector != nullptr) sum.add(value_of(a.vector + n * a.vector_stride, c));
        if (a.residual.data != nullptr) sum.add(value_of(a.residual, n, pixel, c));
        const auto scale = static_cast<double>(a.scale);
        const double value = a.silu ? scale * sum.sum / (1 + std::exp(-scale * sum.sum)) : scale * sum.sum;
        const std::size_t index = test.y.index(n, pixel, c);
        reference.result[index] = value;
        reference.bound[index] = kUnit * std::abs(value) + 1.1 * scale * (flips + 0x1p-18 * sum.magnitudes) + 0x1p-25;
      }
    }
  }
  return reference;
}

/// Returns the largest ratio of an error to its bound.
template <typename T>
double worst_error(const DeviceVector<T>& actual, const SmallConvolutionReference& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(cuda::to_float(actual[i])) - expected.result[i]);
    if (error == 0) continue;
    worst = std::isnan(error) || expected.bound[i] == 0 ? std::numeric_limits<double>::infinity()
                                                        : std::max(worst, error / expected.bound[i]);
  }
  return worst;
}

}  // namespace dpm::test
