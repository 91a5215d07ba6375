// Test of the kernel of matrices on both axes against a plain loop in double.
#include <gtest/gtest.h>

#include <iterator>

#include "cuda/kernels/separable.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

struct Shape {
  int batch;
  int x_height;
  int x_width;
  int height;
  int width;
  int channels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes of pools: the mean of a map, pixels behind their mean, one token of several, and back.
  constexpr Shape kCorners[] = {{1, 1, 1, 1, 1, 1},   {2, 8, 8, 1, 1, 64}, {1, 1, 16, 1, 17, 33},
                                {3, 1, 17, 1, 1, 10}, {65, 1, 1, 2, 3, 8}, {1, 1, 2, 1, 1, 4096},
                                {1, 2, 1, 1, 300, 2}, {1, 40, 1, 3, 2, 5}, {2, 5, 3, 40, 40, 16}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const auto side = [&] { return random.between(1, 9); };
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 4), side(), side(), side(), side(), unit * random.between(1, 5)};
}

/// Makes a matrix of numbers of which a third are zeros.
DeviceVector<float> sparse_matrix(RandomValues& random, int rows, int columns) {
  DeviceVector<float> matrix =
      stored<float>(random.normals(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)));
  for (float& factor : matrix) {
    if (random.between(0, 2) == 0) factor = 0;
  }
  return matrix;
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        x(random_map<T>(random, shape.batch, shape.x_height * shape.x_width, shape.channels)),
        y(random_map<T>(random, shape.batch, shape.height * shape.width, shape.channels)),
        rows(sparse_matrix(random, shape.height, shape.x_height)),
        columns(sparse_matrix(random, shape.width, shape.x_width)),
        arguments{x.input(),    y.map(),     shape.batch,    shape.x_height, shape.x_width,
                  shape.height, shape.width, shape.channels, rows.data(),    columns.data()} {}

  /// Runs the kernel; returns the whole wider map.
  const DeviceVector<T>& run() {
    cuda::separable(arguments, nullptr);
    synchronize();
    return y.values();
  }

  RandomValues random;
  Shape shape;
  WideMap<T> x, y;
  DeviceVector<float> rows, columns;
  cuda::SeparableArguments<T> arguments;
};

template <typename T>
double value_at(const cuda::SeparableArguments<T>& a, int n, int row, int column, int c) {
  double sum = 0;
  for (int i = 0; i < a.x_height; ++i) {
    for (int j = 0; j < a.x_width; ++j) {
      sum += value_of(a.rows, row * a.x_height + i) * value_of(a.columns, column * a.x_width + j) *
             value_of(a.x, n, i * a.x_width + j, c);
    }
  }
  return sum;
}

/// Computes the whole wider map that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::SeparableArguments<T>& a = test.arguments;
  std::vector<float> result = floats(test.y.values());
  for (int n = 0; n < a.batch; ++n) {
    for (int row = 0; row < a.height; ++row) {
      for (int column = 0; column < a.width; ++column) {
        for (int c = 0; c < a.channels; ++c) {
          result[test.y.index(n, row * a.width + column, c)] = static_cast<float>(value_at(a, n, row, column, c));
        }
      }
    }
  }
  return result;
}

TEST(CudaSeparable, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaSeparable, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaSeparable, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
