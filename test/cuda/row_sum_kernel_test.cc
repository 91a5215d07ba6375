// Test of sums over rows against a plain loop.
#include <gtest/gtest.h>

#include <iterator>

#include "cuda/kernels/row_sum.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int rows;
  int pixels;
  int channels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes of a whole block of threads, and of one element more.
  constexpr Shape kCorners[] = {{1, 1, 1}, {3, 1, 128}, {2, 43, 3}, {70, 1, 5}, {1, 16, 16}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  return {random.between(1, 6), random.between(0, 1) == 1 ? random.between(1, 40) : 1, random.between(1, 40)};
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        // Rows behind the last one that counts, as those that pad a batch.
        x(random_map<T>(random, shape.rows + 2, shape.pixels, shape.channels)) {
    // Elements behind the sums stay as they are.
    before = stored<float>(random.normals(static_cast<std::size_t>(shape.pixels * shape.channels) + 3));
  }

  const DeviceVector<float>& run() {
    sum = before;
    cuda::row_sum<T>({x.input(), sum.data(), shape.rows, shape.pixels, shape.channels}, nullptr);
    synchronize();
    return sum;
  }

  RandomValues random;
  Shape shape;
  WideMap<T> x;
  DeviceVector<float> before, sum;
};

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> result = floats(test.before);
  for (int c = 0; c < test.shape.channels; ++c) {
    for (int pixel = 0; pixel < test.shape.pixels; ++pixel) {
      double sum = 0;
      for (int n = 0; n < test.shape.rows; ++n) sum += value_of(test.x.input(), n, pixel, c);
      float& to = result[static_cast<std::size_t>(std::int64_t{c} * test.shape.pixels + pixel)];
      to = static_cast<float>(static_cast<double>(to) + sum);
    }
  }
  return result;
}

constexpr double kExactly = 1e-12;

TEST(CudaRowSum, Float32IsThatOfAPlainLoop) { check_cases<Case<float>>(kShapes, kExactly); }
TEST(CudaRowSum, HalfIsThatOfAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, kExactly); }
TEST(CudaRowSum, Bfloat16IsThatOfAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, kExactly); }

}  // namespace
}  // namespace dpm::test
