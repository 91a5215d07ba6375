// Test of linear kernels on the emulation against a plain loop in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>

#include "cuda/kernels/linear.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int inputs;
  int outputs;
};

constexpr Shape kCorners[] = {
    {1, 1, 1},  {1, 4096, 3}, {2, 3, 1030},  {65, 9, 5},   {64, 16, 4},  {8, 256, 1},   {9, 257, 7},
    {7, 31, 9}, {3, 33, 4},   {5, 1000, 11}, {1, 128, 64}, {4, 512, 17}, {2, 1023, 13},
};

Shape shape_of(std::uint32_t seed, RandomValues& random) {
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 20), random.between(1, 70) * unit, random.between(1, 20)};
}

/// A case of rows inside wider ones.
template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : random(seed) {
    const Shape shape = shape_of(seed, random);
    const auto batch = static_cast<std::size_t>(shape.batch);
    const auto outputs = static_cast<std::size_t>(shape.outputs);
    arguments.batch = shape.batch;
    arguments.inputs = shape.inputs;
    arguments.outputs = shape.outputs;
    arguments.x_stride = shape.inputs + random.between(0, 2) * 8;
    arguments.y_stride = shape.outputs + random.between(0, 2) * 3;
    // An odd start rules out wide accesses.
    const int start = random.between(0, 3) == 0 ? 1 : 0;
    x = stored<T>(random.normals(batch * arguments.x_stride + start));
    weight =
        stored<T>(random.normals(outputs * shape.inputs + start, 1.0F / std::sqrt(static_cast<float>(shape.inputs))));
    bias = on_device(random.normals(outputs));
    before = stored<T>(random.normals(batch * arguments.y_stride));
    y = before;
    arguments.x = x.data() + start;
    arguments.weight = weight.data() + start;
    arguments.bias = random.between(0, 1) == 1 ? bias.data() : nullptr;
    arguments.y = y.data();
    arguments.scale = random.between(0, 1) == 1 ? 1.0F : 0.75F;
    arguments.silu = random.between(0, 1) == 1;
  }

  /// Runs the kernel; returns all of the wider rows.
  DeviceVector<T> run() {
    y = before;
    cuda::linear(arguments, nullptr);
    synchronize();
    return y;
  }

  RandomValues random;
  cuda::LinearArguments<T> arguments{};
  DeviceVector<T> x, weight, before, y;
  DeviceVector<float> bias;
};

/// Computes the wider rows that are expected.
template <typename T>
std::vector<float> expected_of(const Case<T>& test) {
  const cuda::LinearArguments<T>& a = test.arguments;
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < a.batch; ++n) {
    for (int o = 0; o < a.outputs; ++o) {
      double sum = a.bias != nullptr ? static_cast<double>(a.bias[o]) : 0.0;
      for (int i = 0; i < a.inputs; ++i) {
        sum += value_of(a.x, n * a.x_stride + i) * value_of(a.weight, std::int64_t{o} * a.inputs + i);
      }
      sum *= static_cast<double>(a.scale);
      result[static_cast<std::size_t>(n * a.y_stride + o)] =
          static_cast<float>(a.silu ? sum / (1 + std::exp(-sum)) : sum);
    }
  }
  return result;
}

TEST(CudaLinear, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaLinear, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaLinear, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaLinear, ASampleGetsTheSameBitsInEveryBatch) {
  for (std::uint32_t seed = 0; seed < kShapes / 4; ++seed) {
    Case<float> test(seed);
    const DeviceVector<float> together = test.run();
    test.y = test.before;
    cuda::LinearArguments<float> a = test.arguments;
    a.batch = 1;
    for (int n = 0; n < test.arguments.batch; ++n) {
      cuda::linear(a, nullptr);
      a.x += a.x_stride;
      a.y += a.y_stride;
    }
    synchronize();
    ASSERT_EQ(std::memcmp(together.data(), test.y.data(), together.size() * sizeof(float)), 0) << "shape " << seed;
  }
}

}  // namespace
}  // namespace dpm::test
