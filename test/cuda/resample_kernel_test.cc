// Test of upsampling, average pooling and FIR resampling kernels against plain loops.
#include <gtest/gtest.h>

#include <iterator>

#include "cuda/kernels/fir.h"
#include "cuda/kernels/resample.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

/// Shape of the smaller map.
struct Shape {
  int batch;
  int height;
  int width;
  int channels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  constexpr Shape kCorners[] = {{1, 1, 1, 1},  {1, 1, 2, 4096}, {65, 1, 3, 8},
                                {2, 7, 5, 33}, {1, 1, 300, 2},  {1, 300, 1, 8}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 3), random.between(1, 7), random.between(1, 7), unit * random.between(1, 6)};
}

/// A case with a smaller and a larger map, either of which is read.
template <typename T>
struct Case {
  /// Makes a case with `padding` of the larger map for downsampling, `extended` for upsampling.
  explicit Case(std::uint32_t seed, int padding = 1, int extended = 0)
      : random(seed),
        shape(shape_of(random, seed)),
        pad(padding),
        extension(extended),
        small(random_map<T>(random, shape.batch, shape.height * shape.width, shape.channels)),
        large(random_map<T>(random, shape.batch,
                            4 * (shape.height + 1 - pad + extension) * (shape.width + 1 - pad + extension),
                            shape.channels)) {}

  cuda::ResampleArguments<T> up() {
    const int height = 2 * (shape.height + extension);
    const int width = 2 * (shape.width + extension);
    return {small.input(), large.map(), shape.batch, height, width, shape.channels, pad, extension};
  }
  cuda::ResampleArguments<T> down() {
    return {large.input(), small.map(), shape.batch, shape.height, shape.width, shape.channels, pad};
  }

  RandomValues random;
  Shape shape;
  int pad;
  int extension;
  WideMap<T> small, large;
};

/// Computes the wider map of y that is expected; `value(n, row, column, c)` returns one element.
template <typename T, typename Value>
std::vector<float> expected_of(const WideMap<T>& map, const cuda::ResampleArguments<T>& a, const Value& value) {
  std::vector<float> result = floats(map.values());
  for (int n = 0; n < a.batch; ++n) {
    for (int row = 0; row < a.height; ++row) {
      for (int column = 0; column < a.width; ++column) {
        for (int c = 0; c < a.channels; ++c) {
          result[map.index(n, row * a.width + column, c)] = static_cast<float>(value(n, row, column, c));
        }
      }
    }
  }
  return result;
}

template <typename T>
double upsampled(const cuda::ResampleArguments<T>& a, int n, int row, int column, int c) {
  return value_of(a.x, n, row / 2 * (a.width / 2) + column / 2, c);
}

template <typename T>
double upsampled_with_zeros(const cuda::ResampleArguments<T>& a, int n, int row, int column, int c) {
  return row % 2 == 0 && column % 2 == 0 ? upsampled(a, n, row, column, c) : 0;
}

template <typename T>
double pooled(const cuda::ResampleArguments<T>& a, int n, int row, int column, int c) {
  double sum = 0;
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) sum += value_of(a.x, n, (2 * row + i) * 2 * a.width + 2 * column + j, c);
  }
  return sum / 4;
}

double tap(int index) {
  constexpr double kTaps[] = {1, 3, 3, 1};
  return index >= 0 && index < 4 ? kTaps[index] : 0;
}

/// Returns the weight of an element of the larger map in one of the smaller, which is equal in the other direction.
double weight(int large, int small, int pad = 1) { return tap(large + pad - 2 * small); }

template <typename T>
double fir_upsampled(const cuda::ResampleArguments<T>& a, int n, int row, int column, int c) {
  const int height = a.height / 2 - a.extension;
  const int width = a.width / 2 - a.extension;
  double sum = 0;
  for (int i = 0; i < height; ++i) {
    if (weight(row - a.extension, i) == 0) continue;
    for (int j = 0; j < width; ++j) {
      const double factor = weight(row - a.extension, i) * weight(column - a.extension, j);
      if (factor != 0) sum += factor * value_of(a.x, n, i * width + j, c);
    }
  }
  return sum / 16;
}

template <typename T>
double fir_downsampled(const cuda::ResampleArguments<T>& a, int n, int row, int column, int c) {
  const int height = 2 * (a.height + 1 - a.pad);
  const int width = 2 * (a.width + 1 - a.pad);
  double sum = 0;
  for (int i = 0; i < height; ++i) {
    if (weight(i, row, a.pad) == 0) continue;
    for (int j = 0; j < width; ++j) {
      const double factor = weight(i, row, a.pad) * weight(j, column, a.pad);
      if (factor != 0) sum += factor * value_of(a.x, n, i * width + j, c);
    }
  }
  return sum / 64;
}

template <typename T, typename Kernel>
double error_of(const Kernel& kernel, const cuda::ResampleArguments<T>& arguments, WideMap<T>& y,
                const std::vector<float>& expected) {
  kernel(arguments, nullptr);
  synchronize();
  return relative_difference(floats(y.values()), expected);
}

template <typename T>
void check_shapes(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> larger(seed);
      const auto up = larger.up();
      const auto all_up = [&](auto... where) { return upsampled(up, where...); };
      ASSERT_EQ(error_of(cuda::upsample<T>, up, larger.large, expected_of(larger.large, up, all_up)), 0)
          << "shape " << seed << ", order " << order;
      const auto all_zeros = [&](auto... where) { return upsampled_with_zeros(up, where...); };
      ASSERT_EQ(error_of(cuda::zero_upsample<T>, up, larger.large, expected_of(larger.large, up, all_zeros)), 0)
          << "shape " << seed << ", order " << order;
      Case<T> smaller(seed);
      const auto down = smaller.down();
      const auto all_down = [&](auto... where) { return pooled(down, where...); };
      ASSERT_LT(error_of(cuda::average_pool<T>, down, smaller.small, expected_of(smaller.small, down, all_down)),
                tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

/// Resizes the smaller map to any size that the larger one has room for.
template <typename T>
void check_resize() {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<T> test(seed);
    const Shape from = test.shape;
    auto to = test.up();
    to.height = test.random.between(1, 2 * from.height);
    to.width = test.random.between(1, 2 * from.width);
    const auto source = [&](int n, int row, int column, int c) {
      const int y = row * from.height / to.height;
      return value_of(to.x, n, y * from.width + column * from.width / to.width, c);
    };
    const auto kernel = [&](const auto& arguments, auto stream) {
      cuda::resize(arguments, from.height, from.width, stream);
    };
    ASSERT_EQ(error_of(kernel, to, test.large, expected_of(test.large, to, source)), 0) << "shape " << seed;
  }
}

template <typename T>
void check_fir(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Case<T> larger(seed, 1, seed % 3 == 0 ? 1 : 0);
      const auto up = larger.up();
      const auto all_up = [&](auto... where) { return fir_upsampled(up, where...); };
      ASSERT_LT(error_of(cuda::fir_upsample<T>, up, larger.large, expected_of(larger.large, up, all_up)), tolerance)
          << "shape " << seed << ", order " << order;
      Case<T> smaller(seed, seed % 3 == 0 ? 0 : 1);
      const auto down = smaller.down();
      const auto all_down = [&](auto... where) { return fir_downsampled(down, where...); };
      ASSERT_LT(error_of(cuda::fir_downsample<T>, down, smaller.small, expected_of(smaller.small, down, all_down)),
                tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaResample, Float32AgreesWithAPlainLoop) { check_shapes<float>(1e-6); }
TEST(CudaResample, HalfAgreesWithAPlainLoop) { check_shapes<cuda::Half>(1e-3); }
TEST(CudaResample, Bfloat16AgreesWithAPlainLoop) { check_shapes<cuda::Bfloat16>(8e-3); }

TEST(CudaFir, Float32AgreesWithAPlainLoop) { check_fir<float>(1e-6); }
TEST(CudaFir, HalfAgreesWithAPlainLoop) { check_fir<cuda::Half>(1e-3); }
TEST(CudaFir, Bfloat16AgreesWithAPlainLoop) { check_fir<cuda::Bfloat16>(8e-3); }

TEST(CudaResample, ResizesToAnySize) {
  check_resize<float>();
  check_resize<cuda::Half>();
  check_resize<cuda::Bfloat16>();
}

}  // namespace
}  // namespace dpm::test
