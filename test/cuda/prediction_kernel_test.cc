// Test of the convolution that ends a network against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cuda/kernels/prediction.h"
#include "kernel_case.h"
#include "product_sum.h"

namespace dpm::test {
namespace {

template <typename T>
struct PredictionCase {
  explicit PredictionCase(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 3)),
        shape(random_shape(seed)),
        x(random_map<T>(random, batch, shape.in_height * shape.in_width, shape.in_channels, 8)),
        y(random_map<float>(random, batch, shape.out_height * shape.out_width, shape.out_channels)) {
    const auto kernel = static_cast<std::size_t>(shape.kernel);
    const std::size_t depth = kernel * kernel * static_cast<std::size_t>(shape.in_channels);
    weight = stored<T>(random.normals(static_cast<std::size_t>(shape.out_channels) * depth));
    if (seed % 3 != 0) bias = on_device(random.normals(static_cast<std::size_t>(shape.out_channels)));
    before = y.values();
  }

  /// Returns shapes of maps that are no multiples of the kernel's tile, and of channels that are no multiples of its
  /// chunk.
  cuda::PredictionShape random_shape(std::uint32_t seed) {
    const int kernel = random.between(1, 5);
    const int stride = random.between(1, 2);
    const int pad_before = random.between(0, kernel - 1);
    const int pad_after = random.between(0, kernel - 1);
    const int height = random.between(kernel, 13);
    const int width = random.between(kernel, 13);
    const int in_channels = 8 * random.between(1, seed % 4 == 0 ? 20 : 5);
    const auto out = [&](int size) { return (size + pad_before + pad_after - kernel) / stride + 1; };
    return {height, width, in_channels, out(height), out(width), random.between(1, 8), kernel, stride, pad_before};
  }

  DeviceVector<float> run() {
    y.values() = before;
    cuda::predict<T>({shape, batch, x.input(), weight.data(), y.map(), bias.empty() ? nullptr : bias.data()}, nullptr);
    synchronize();
    return y.values();
  }

  RandomValues random;
  int batch;
  cuda::PredictionShape shape;
  WideMap<T> x;
  WideMap<float> y;
  DeviceVector<T> weight;
  DeviceVector<float> bias;
  DeviceVector<float> before;
};

template <typename T>
ProductSum sum_of(const PredictionCase<T>& test, int n, int pixel, int c) {
  const cuda::PredictionShape& s = test.shape;
  ProductSum sum;
  for (int tap = 0; tap < s.kernel * s.kernel; ++tap) {
    const int i = pixel / s.out_width * s.stride - s.pad_before + tap / s.kernel;
    const int j = pixel % s.out_width * s.stride - s.pad_before + tap % s.kernel;
    if (i < 0 || i >= s.in_height || j < 0 || j >= s.in_width) continue;
    const T* weight = test.weight.data() + (c * s.kernel * s.kernel + tap) * s.in_channels;
    for (int k = 0; k < s.in_channels; ++k) {
      sum.add(value_of(weight, k) * value_of(test.x.input(), n, i * s.in_width + j, k));
    }
  }
  if (!test.bias.empty()) sum.add(static_cast<double>(test.bias[static_cast<std::size_t>(c)]));
  return sum;
}

/// Returns the largest ratio of an error to the bound of float32 sums, infinite where an element outside the map has
/// changed.
template <typename T>
double worst_error(PredictionCase<T>& test, const DeviceVector<float>& actual) {
  constexpr double kUnit = 0x1p-20;
  std::vector<double> error(actual.size());
  for (std::size_t i = 0; i < actual.size(); ++i) error[i] = actual[i] == test.before[i] ? 0 : HUGE_VAL;
  for (int n = 0; n < test.batch; ++n) {
    for (int pixel = 0; pixel < test.shape.out_height * test.shape.out_width; ++pixel) {
      for (int c = 0; c < test.shape.out_channels; ++c) {
        const ProductSum sum = sum_of(test, n, pixel, c);
        const std::size_t i = test.y.index(n, pixel, c);
        error[i] = std::abs(static_cast<double>(actual[i]) - sum.sum) / (kUnit * sum.magnitudes + 1e-30);
      }
    }
  }
  return *std::max_element(error.begin(), error.end());
}

template <typename T>
class CudaPrediction : public testing::Test {};
using HalfTypes = testing::Types<cuda::Half, cuda::Bfloat16>;
TYPED_TEST_SUITE(CudaPrediction, HalfTypes);

TYPED_TEST(CudaPrediction, IsAsExactAsItsSums) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    PredictionCase<TypeParam> test(seed);
    ASSERT_TRUE(cuda::takes_prediction(test.shape));
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(worst_error(test, test.run()), 1.0) << "shape " << seed << ", order " << order;
    }
  }
}

TYPED_TEST(CudaPrediction, DoesNotDependOnTheBatch) {
  for (std::uint32_t seed = 1; seed < 20; ++seed) {
    PredictionCase<TypeParam> other(seed);
    if (other.batch == 1) continue;
    const DeviceVector<float> together = other.run();
    other.batch = 1;
    const DeviceVector<float> first = other.run();
    for (int pixel = 0; pixel < other.shape.out_height * other.shape.out_width; ++pixel) {
      const std::size_t i = other.y.index(0, pixel, 0);
      ASSERT_EQ(together[i], first[i]) << "shape " << seed;
    }
  }
}

TEST(CudaPredictionShapes, TakesFewOutputsOfWholeAccesses) {
  const auto takes = [](int in, int out) { return cuda::takes_prediction({8, 8, in, 8, 8, out, 3, 1, 1}); };
  EXPECT_TRUE(takes(32, 8));
  EXPECT_FALSE(takes(32, 9));
  EXPECT_FALSE(takes(36, 3));
}

#if defined(DPM_CUDA_EMULATION)
TYPED_TEST(CudaPrediction, AMissingBarrierWouldShow) {
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    PredictionCase<TypeParam> test(seed);
    const WithoutBarriers broken;
    if (!(worst_error(test, test.run()) < 1.0)) ++noticed;
  }
  EXPECT_GT(noticed, 10);
}
#endif

}  // namespace
}  // namespace dpm::test
