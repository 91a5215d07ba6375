// Test of the kernel that reverses weights against a plain loop.
#include <gtest/gtest.h>

#include <iterator>

#include "cuda/kernels/adjoint_weights.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

cuda::WeightShape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes with a whole block of threads, and one more element.
  constexpr cuda::WeightShape kCorners[] = {{1, 1, 1}, {16, 1, 16}, {257, 1, 1}, {1, 9, 300}, {300, 9, 1}, {3, 25, 7}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int kernel = random.between(1, 5);
  return {random.between(1, 40), kernel * kernel, random.between(1, 40)};
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed) : random(seed), shape(shape_of(random, seed)) {
    const std::int64_t elements = std::int64_t{shape.out_channels} * shape.taps * shape.in_channels;
    weights = stored<T>(random.normals(static_cast<std::size_t>(elements)));
    // Elements behind the result must stay as they are.
    adjoint = stored<T>(std::vector<float>(static_cast<std::size_t>(elements) + 3, 77.0F));
  }

  const DeviceVector<T>& run() {
    cuda::adjoint_weights(weights.data(), shape, adjoint.data(), nullptr);
    synchronize();
    return adjoint;
  }

  RandomValues random;
  cuda::WeightShape shape;
  DeviceVector<T> weights, adjoint;
};

template <typename T>
std::vector<float> expected_of(const Case<T>& test) {
  const auto [outputs, taps, inputs] = test.shape;
  std::vector<float> result = floats(test.adjoint);
  for (int o = 0; o < outputs; ++o) {
    for (int tap = 0; tap < taps; ++tap) {
      for (int i = 0; i < inputs; ++i) {
        const std::int64_t from = (std::int64_t{o} * taps + tap) * inputs + i;
        const std::int64_t to = (std::int64_t{i} * taps + taps - 1 - tap) * outputs + o;
        result[static_cast<std::size_t>(to)] = cuda::to_float(test.weights[static_cast<std::size_t>(from)]);
      }
    }
  }
  return result;
}

constexpr double kExactly = 1e-12;

TEST(CudaAdjointWeights, Float32AreThoseOfAPlainLoop) { check_cases<Case<float>>(kShapes, kExactly); }
TEST(CudaAdjointWeights, HalvesAreThoseOfAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, kExactly); }
TEST(CudaAdjointWeights, Bfloat16AreThoseOfAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, kExactly); }

}  // namespace
}  // namespace dpm::test
