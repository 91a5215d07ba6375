// Test of the sums of group norm's derivative, and of the cotangent of its scale and shift, against plain loops in
// double.
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

#include "cuda/kernels/group_norm_sums.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

struct Shape {
  int batch;
  int channels;
  int groups;
  int pixels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes with groups of more channels than a block has threads, and with fewer pixels than a block has rows.
  constexpr Shape kCorners[] = {{1, 1, 1, 1},    {1, 600, 2, 3}, {2, 515, 1, 5}, {1, 256, 1, 4},
                                {1, 32, 4, 700}, {33, 8, 4, 3},  {2, 33, 3, 49}, {1, 7, 7, 1000}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int groups = random.between(1, 8);
  return {random.between(1, 3), groups * random.between(1, 12), groups, random.between(1, 60)};
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        x(random_map<T>(random, shape.batch, shape.pixels, shape.channels)),
        given(random_map<T>(random, shape.batch, shape.pixels, shape.channels)) {
    const auto channels = static_cast<std::size_t>(shape.channels);
    const auto batch = static_cast<std::size_t>(shape.batch);
    const std::size_t stride = 2 * channels + 3;
    for (T& value : x.values()) value = cuda::from_float<T>(3.0F + 2.0F * cuda::to_float(value));
    gamma = stored<float>(random.normals(channels));
    beta = stored<float>(random.normals(channels));
    scale_shift = stored<T>(random.normals(batch * stride));
    before = stored<T>(random.normals(batch * stride));
    cuda::GroupNormArguments<T>& norm = arguments.derivative.norm;
    norm.x = x.input();
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
    arguments.derivative.given = given.input();
    arguments.derivative.is_backward = true;
    arguments.sums_stride = static_cast<std::int64_t>(stride);
  }

  const DeviceVector<T>& run() {
    sums = before;
    arguments.sums = sums.data();
    cuda::group_norm_sums(arguments, nullptr);
    synchronize();
    return sums;
  }

  RandomValues random;
  Shape shape;
  WideMap<T> x, given;
  DeviceVector<float> gamma, beta;
  DeviceVector<T> scale_shift, before, sums;
  cuda::GroupNormSumsArguments<T> arguments{};
};

/// Returns the slope of the SiLU at a normalised number.
template <typename T>
double slope_of(const cuda::GroupNormArguments<T>& a, int n, int c, double normed) {
  if (!a.silu) return 1;
  double scale = static_cast<double>(a.gamma[c]);
  double shift = static_cast<double>(a.beta[c]);
  if (a.scale_shift != nullptr) {
    const T* row = a.scale_shift + n * a.scale_shift_stride;
    scale *= 1 + value_of(row, c);
    shift = shift * (1 + value_of(row, c)) + value_of(row, a.channels + c);
  }
  const double y = normed * scale + shift;
  const double sigmoid = 1 / (1 + std::exp(-y));
  return sigmoid * (1 + y * (1 - sigmoid));
}

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::GroupNormArguments<T>& norm = test.arguments.derivative.norm;
  std::vector<float> result = floats(test.before);
  const int of_group = norm.channels / norm.groups;
  const double count = static_cast<double>(of_group) * norm.pixels;
  for (int n = 0; n < norm.batch; ++n) {
    for (int c = 0; c < norm.channels; ++c) {
      const int first = c / of_group * of_group;
      const auto mean_of = [&](const auto& term) {
        double sum = 0;
        for (int pixel = 0; pixel < norm.pixels; ++pixel) {
          for (int i = first; i < first + of_group; ++i) sum += term(value_of(norm.x, n, pixel, i));
        }
        return sum / count;
      };
      const double mean = mean_of([](double value) { return value; });
      const double variance = mean_of([&](double value) { return std::pow(value - mean, 2); });
      const double deviation = std::sqrt(variance + static_cast<double>(norm.epsilon));
      double of_products = 0;
      double of_deltas = 0;
      for (int pixel = 0; pixel < norm.pixels; ++pixel) {
        const double normed = (value_of(norm.x, n, pixel, c) - mean) / deviation;
        const double delta = value_of(test.given.input(), n, pixel, c) * slope_of(norm, n, c, normed);
        of_products += delta * normed;
        of_deltas += delta;
      }
      const auto place = static_cast<std::size_t>(n * test.arguments.sums_stride + c);
      result[place] = static_cast<float>(of_products);
      result[place + static_cast<std::size_t>(norm.channels)] = static_cast<float>(of_deltas);
    }
  }
  return result;
}

TEST(CudaGroupNormSums, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 3e-5); }
TEST(CudaGroupNormSums, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaGroupNormSums, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

#if defined(DPM_CUDA_EMULATION)
TEST(CudaGroupNormSums, AMissingBarrierWouldShow) {
  Case<float> test(4);
  const std::vector<float> expected = expected_of(test);
  const WithoutBarriers broken;
  EXPECT_FALSE(relative_difference(floats(test.run()), expected) < 3e-5);
}
#endif

template <typename T>
struct VectorCase {
  explicit VectorCase(std::uint32_t seed)
      : random(seed), batch(random.between(1, 5)), channels(random.between(1, 300)) {
    const auto rows = static_cast<std::size_t>(batch);
    const std::size_t stride = 2 * static_cast<std::size_t>(channels) + 3;
    sums = stored<T>(random.normals(rows * stride));
    before = stored<T>(random.normals(rows * stride));
    gamma = stored<float>(random.normals(stride));
    beta = stored<float>(random.normals(stride));
  }

  [[nodiscard]] std::int64_t stride() const { return 2 * channels + 3; }

  const DeviceVector<T>& run() {
    y = before;
    cuda::group_norm_vector<T>({sums.data(), stride(), gamma.data(), beta.data(), y.data(), stride(), batch, channels},
                               nullptr);
    synchronize();
    return y;
  }

  RandomValues random;
  int batch, channels;
  DeviceVector<float> gamma, beta;
  DeviceVector<T> sums, before, y;
};

template <typename T>
std::vector<float> expected_of(VectorCase<T>& test) {
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < test.batch; ++n) {
    for (int c = 0; c < test.channels; ++c) {
      const std::int64_t place = n * test.stride() + c;
      const double first = value_of(test.sums.data(), place);
      const double second = value_of(test.sums.data(), place + test.channels);
      result[static_cast<std::size_t>(place)] =
          static_cast<float>(value_of(test.gamma.data(), c) * first + value_of(test.beta.data(), c) * second);
      result[static_cast<std::size_t>(place + test.channels)] = static_cast<float>(second);
    }
  }
  return result;
}

TEST(CudaGroupNormVector, Float32AgreesWithAPlainLoop) { check_cases<VectorCase<float>>(kShapes, 1e-6); }
TEST(CudaGroupNormVector, HalfAgreesWithAPlainLoop) { check_cases<VectorCase<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaGroupNormVector, Bfloat16AgreesWithAPlainLoop) { check_cases<VectorCase<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
