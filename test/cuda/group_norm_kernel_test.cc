// Group norm kernels on the emulation against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cuda/kernels/group_norm.h"
#include "emulation.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

constexpr int kShapes = 200;

/// A map inside a wider one, whose other channels must stay as they are.
template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : random(seed) {
    constexpr int kCorners[][4] = {{1, 1, 1, 1}, {1, 4096, 32, 1}, {65, 8, 4, 3}, {2, 33, 3, 49}, {1, 96, 32, 289}};
    if (seed < std::size(kCorners)) {
      set(kCorners[seed][0], kCorners[seed][1], kCorners[seed][2], kCorners[seed][3]);
    } else {
      const int groups = random.between(1, 8);
      set(random.between(1, 4), groups * random.between(1, 9), groups, random.between(1, 70));
    }
    arguments.silu = random.between(0, 1) == 1;
    const bool shifts = random.between(0, 1) == 1;
    const int pitch = arguments.channels + random.between(0, 1) * 5;
    x = stored(random.normals(static_cast<std::size_t>(arguments.batch) * arguments.pixels * pitch, 2.0F, 3.0F));
    y = x;
    gamma = random.normals(arguments.channels);
    beta = random.normals(arguments.channels);
    vector = stored(random.normals(static_cast<std::size_t>(arguments.batch) * 2 * arguments.channels));
    arguments.x_pixel_stride = arguments.y_pixel_stride = pitch;
    arguments.x_sample_stride = arguments.y_sample_stride = static_cast<std::int64_t>(arguments.pixels) * pitch;
    arguments.epsilon = 1e-6F;
    arguments.x = x.data();
    arguments.y = y.data();
    arguments.gamma = gamma.data();
    arguments.beta = beta.data();
    arguments.scale_shift = shifts ? vector.data() : nullptr;
  }

  void set(int batch, int channels, int groups, int pixels) {
    arguments.batch = batch;
    arguments.channels = channels;
    arguments.groups = groups;
    arguments.pixels = pixels;
  }

  static std::vector<T> stored(const std::vector<float>& values) {
    std::vector<T> result(values.size());
    std::transform(values.begin(), values.end(), result.begin(), cuda::from_float<T>);
    return result;
  }

  RandomValues random;
  cuda::GroupNormArguments<T> arguments{};
  std::vector<T> x, y, vector;
  std::vector<float> gamma, beta;
};

template <typename T>
double value_of(const T* values, std::int64_t index) {
  return static_cast<double>(cuda::to_float(values[index]));
}

template <typename T>
std::vector<float> floats(const std::vector<T>& values) {
  std::vector<float> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), [](T value) { return cuda::to_float(value); });
  return result;
}

/// The whole wider map as it has to be afterwards.
template <typename T>
std::vector<float> expected_of(const cuda::GroupNormArguments<T>& a, const std::vector<T>& before) {
  std::vector<float> result = floats(before);
  const int per_group = a.channels / a.groups;
  for (int n = 0; n < a.batch; ++n) {
    for (int g = 0; g < a.groups; ++g) {
      const auto index = [&](int pixel, int c) { return n * a.x_sample_stride + pixel * a.x_pixel_stride + c; };
      const auto for_all = [&](const auto& body) {
        for (int pixel = 0; pixel < a.pixels; ++pixel) {
          for (int c = g * per_group; c < (g + 1) * per_group; ++c) body(index(pixel, c), c);
        }
      };
      double mean = 0;
      for_all([&](std::int64_t i, int) { mean += value_of(a.x, i) / (per_group * a.pixels); });
      double variance = 0;
      for_all([&](std::int64_t i, int) { variance += std::pow(value_of(a.x, i) - mean, 2) / (per_group * a.pixels); });
      for_all([&](std::int64_t i, int c) {
        double y = (value_of(a.x, i) - mean) / std::sqrt(variance + static_cast<double>(a.epsilon)) *
                       static_cast<double>(a.gamma[c]) +
                   static_cast<double>(a.beta[c]);
        if (a.scale_shift != nullptr) {
          const T* vector = a.scale_shift + static_cast<std::ptrdiff_t>(2 * n) * a.channels;
          y = y * (1 + value_of(vector, c)) + value_of(vector, a.channels + c);
        }
        result[static_cast<std::size_t>(i)] = static_cast<float>(a.silu ? y / (1 + std::exp(-y)) : y);
      });
    }
  }
  return result;
}

template <typename T>
double error_of(Case<T>& test) {
  const std::vector<float> expected = expected_of(test.arguments, test.x);
  test.y = test.x;
  cuda::group_norm(test.arguments, nullptr);
  return relative_difference(floats(test.y), expected);
}

template <typename T>
void check_shapes(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<T> test(seed);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(error_of(test), tolerance) << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaGroupNorm, Float32AgreesWithAPlainLoop) { check_shapes<float>(1e-5); }
TEST(CudaGroupNorm, HalfAgreesWithAPlainLoop) { check_shapes<cuda::Half>(1e-3); }
TEST(CudaGroupNorm, Bfloat16AgreesWithAPlainLoop) { check_shapes<cuda::Bfloat16>(8e-3); }

TEST(CudaGroupNorm, AMissingBarrierWouldShow) {
  int noticed = 0;
  int several_warps = 0;
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    if (test.arguments.channels / test.arguments.groups * test.arguments.pixels < 256) continue;
    ++several_warps;
    const WithoutBarriers broken;
    if (!(error_of(test) < 1e-5)) ++noticed;
  }
  EXPECT_GT(several_warps, 10);
  EXPECT_EQ(noticed, several_warps);
}

}  // namespace
}  // namespace dpm::test
