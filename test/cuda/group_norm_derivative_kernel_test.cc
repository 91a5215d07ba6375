// Test of the kernels of group norm's derivative against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "cuda/kernels/group_norm_derivative.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int channels;
  int groups;
  int pixels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes with groups inside of a block in few vectors and in many, then in chunks, then with more channels than a
  // block has threads; even multiples of eight channels use vectors.
  constexpr Shape kCorners[] = {{1, 4096, 32, 1},  {1, 1, 1, 1},     {65, 8, 4, 3},    {2, 33, 3, 49},
                                {1, 96, 32, 100},  {1, 64, 64, 130}, {2, 320, 32, 20}, {1, 40, 2, 220},
                                {1, 32, 4, 700},   {1, 32, 4, 701},  {1, 32, 4, 1601}, {1, 33, 3, 400},
                                {1, 40, 4, 1230},  {1, 40, 4, 701},  {1, 48, 1, 1030}, {1, 7, 7, 1000},
                                {1, 32, 32, 1540}, {1, 4095, 3, 3},  {1, 2056, 8, 3},  {2, 515, 1, 5}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int groups = random.between(1, 8);
  const int channels = groups * (random.between(0, 2) > 0 ? 4 * random.between(1, 6) : random.between(1, 9));
  return {random.between(1, 3), channels, groups, random.between(1, 60)};
}

/// A case of numbers far from zero, whose variance is a small difference of large sums.
template <typename T>
WideMap<T> input_of(RandomValues& random, const Shape& shape, int unit) {
  WideMap<T> map = random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit);
  for (T& value : map.values()) value = cuda::from_float<T>(3.0F + 2.0F * cuda::to_float(value));
  return map;
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        unit(seed % 2 == 0 ? 8 : 1),
        x(input_of<T>(random, shape, unit)),
        given(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        own(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        in_place(random.between(0, 1) == 1) {
    const auto channels = static_cast<std::size_t>(shape.channels);
    const std::size_t stride = 2 * channels + (unit == 8 ? 8 : 3);
    gamma = stored<float>(random.normals(channels));
    beta = stored<float>(random.normals(channels));
    scale_shift = stored<T>(random.normals(static_cast<std::size_t>(shape.batch) * stride));
    before = written().values();
    // The workspace has exactly the requested size; NaN shows elements that are read before they are written.
    workspace.resize(static_cast<std::size_t>(
        cuda::group_norm_derivative_workspace(shape.batch, shape.pixels, shape.channels, shape.groups)));
    std::fill(workspace.begin(), workspace.end(), std::numeric_limits<float>::quiet_NaN());
    cuda::GroupNormArguments<T>& norm = arguments.norm;
    norm.x = x.input();
    norm.y = written().map();
    norm.batch = shape.batch;
    norm.pixels = shape.pixels;
    norm.channels = shape.channels;
    norm.groups = shape.groups;
    norm.epsilon = 1e-2F;
    norm.gamma = gamma.data();
    norm.beta = beta.data();
    norm.scale_shift = random.between(0, 1) == 1 ? scale_shift.data() : nullptr;
    norm.scale_shift_stride = static_cast<std::int64_t>(stride);
    norm.silu = random.between(0, 1) == 1;
    norm.workspace = workspace.data();
    arguments.given = given.input();
    arguments.is_backward = random.between(0, 1) == 1;
  }

  WideMap<T>& written() { return in_place ? given : own; }

  /// Runs the kernels; returns the whole wider map.
  DeviceVector<T> run() {
    std::copy(before.begin(), before.end(), written().values().begin());
    cuda::group_norm_derivative(arguments, nullptr);
    synchronize();
    return written().values();
  }

  RandomValues random;
  Shape shape;
  int unit;  ///< channels by which vectors are aligned, or not
  WideMap<T> x, given, own;
  bool in_place;
  DeviceVector<float> gamma, beta, workspace;
  DeviceVector<T> scale_shift, before;
  cuda::GroupNormDerivativeArguments<T> arguments{};
};

/// Returns the slope of the operations after the normalisation.
template <typename T>
double slope_of(const cuda::GroupNormArguments<T>& a, int n, int c, double normed) {
  double scale = static_cast<double>(a.gamma[c]);
  double shift = static_cast<double>(a.beta[c]);
  if (a.scale_shift != nullptr) {
    const T* row = a.scale_shift + n * a.scale_shift_stride;
    scale *= 1 + value_of(row, c);
    shift = shift * (1 + value_of(row, c)) + value_of(row, a.channels + c);
  }
  if (!a.silu) return scale;
  const double y = normed * scale + shift;
  const double sigmoid = 1 / (1 + std::exp(-y));
  return scale * sigmoid * (1 + y * (1 - sigmoid));
}

/// Computes the whole wider map that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::GroupNormDerivativeArguments<T>& a = test.arguments;
  const cuda::GroupNormArguments<T>& norm = a.norm;
  std::vector<float> result = floats(test.before);
  const int of_group = norm.channels / norm.groups;
  const double count = static_cast<double>(of_group) * norm.pixels;
  for (int n = 0; n < norm.batch; ++n) {
    for (int g = 0; g < norm.groups; ++g) {
      const auto for_all = [&](const auto& body) {
        for (int pixel = 0; pixel < norm.pixels; ++pixel) {
          for (int c = g * of_group; c < (g + 1) * of_group; ++c) body(pixel, c);
        }
      };
      double mean = 0;
      for_all([&](int pixel, int c) { mean += value_of(norm.x, n, pixel, c) / count; });
      double variance = 0;
      for_all([&](int pixel, int c) { variance += std::pow(value_of(norm.x, n, pixel, c) - mean, 2) / count; });
      const double deviation = std::sqrt(variance + static_cast<double>(norm.epsilon));
      const auto normed = [&](int pixel, int c) { return (value_of(norm.x, n, pixel, c) - mean) / deviation; };
      const auto moved = [&](int pixel, int c) {
        const double value = value_of(a.given, n, pixel, c);
        return a.is_backward ? value * slope_of(norm, n, c, normed(pixel, c)) : value;
      };
      double sum = 0;
      double product = 0;
      for_all([&](int pixel, int c) {
        sum += moved(pixel, c) / count;
        product += moved(pixel, c) * normed(pixel, c) / count;
      });
      for_all([&](int pixel, int c) {
        const double centred = (moved(pixel, c) - sum - normed(pixel, c) * product) / deviation;
        const double y = a.is_backward ? centred : centred * slope_of(norm, n, c, normed(pixel, c));
        result[test.written().index(n, pixel, c)] = static_cast<float>(y);
      });
    }
  }
  return result;
}

TEST(CudaGroupNormDerivative, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 3e-5); }
TEST(CudaGroupNormDerivative, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaGroupNormDerivative, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaGroupNormDerivative, AResultDoesNotDependOnTheBatch) {
  for (std::uint32_t seed = 0; seed < kShapes; seed += 4) {
    Case<cuda::Half> test(seed);
    const std::vector<float> together = floats(test.run());
    std::copy(test.before.begin(), test.before.end(), test.written().values().begin());
    for (int n = 0; n < test.shape.batch; ++n) {
      cuda::GroupNormDerivativeArguments<cuda::Half> single = test.arguments;
      single.norm.batch = 1;
      single.norm.x.data += n * single.norm.x.sample_stride;
      single.norm.y.data += n * single.norm.y.sample_stride;
      single.given.data += n * single.given.sample_stride;
      if (single.norm.scale_shift != nullptr) single.norm.scale_shift += n * single.norm.scale_shift_stride;
      cuda::group_norm_derivative(single, nullptr);
    }
    synchronize();
    ASSERT_EQ(floats(test.written().values()), together) << "shape " << seed;
  }
}

TEST(CudaGroupNormDerivative, AConstantIsPulledBackAndPushedForwardToNothing) {
  // The norm has no factors and removes the mean, so the result for a constant is zero.
  for (const int pixels : {64, 4096}) {
    for (const bool is_backward : {false, true}) {
      Case<float> test(0);
      RandomValues random(1);
      WideMap<float> x(random, 1, pixels, 32, 0, 0);
      WideMap<float> given(random, 1, pixels, 32, 0, 0);
      std::fill(given.values().begin(), given.values().end(), 1.0F);
      const DeviceVector<float> gamma(32, 1.0F);
      const DeviceVector<float> beta(32, 0.0F);
      DeviceVector<float> workspace(static_cast<std::size_t>(cuda::group_norm_derivative_workspace(1, pixels, 32, 2)));
      test.arguments.norm.x = x.input();
      test.arguments.norm.y = given.map();
      test.arguments.norm.batch = 1;
      test.arguments.norm.pixels = pixels;
      test.arguments.norm.channels = 32;
      test.arguments.norm.groups = 2;
      test.arguments.norm.gamma = gamma.data();
      test.arguments.norm.beta = beta.data();
      test.arguments.norm.scale_shift = nullptr;
      test.arguments.norm.silu = false;
      test.arguments.norm.workspace = workspace.data();
      test.arguments.given = given.input();
      test.arguments.is_backward = is_backward;
      cuda::group_norm_derivative(test.arguments, nullptr);
      synchronize();
      for (const float value : given.values()) ASSERT_NEAR(value, 0.0F, 1e-5F) << pixels;
    }
  }
}

TEST(CudaGroupNormDerivative, SmallMapsNeedNoWorkspace) {
  EXPECT_EQ(cuda::group_norm_derivative_workspace(4, 64, 1280, 32), 0);
  EXPECT_GT(cuda::group_norm_derivative_workspace(1, 65536, 128, 32), 0);
}

#if defined(DPM_CUDA_EMULATION)
TEST(CudaGroupNormDerivative, AMissingBarrierWouldShow) {
  int noticed = 0;
  int several_warps = 0;
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<float> test(seed);
    if (test.shape.channels * test.shape.pixels / test.shape.groups < 1024) continue;
    ++several_warps;
    const std::vector<float> expected = expected_of(test);
    const WithoutBarriers broken;
    if (!(relative_difference(floats(test.run()), expected) < 1e-5)) ++noticed;
  }
  EXPECT_GT(several_warps, 10);
  EXPECT_EQ(noticed, several_warps);
}
#endif

}  // namespace
}  // namespace dpm::test
