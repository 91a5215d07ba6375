// Test of the channelwise kernel against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cuda/kernels/channelwise.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

enum class Target { kOwn, kInput, kResidual };

struct Shape {
  int batch;
  int pixels;
  int channels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  constexpr Shape kCorners[] = {{1, 1, 1},    {1, 3, 4096}, {65, 2, 8}, {2, 49, 33},
                                {1, 289, 24}, {1, 1, 4095}, {3, 65, 64}};
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 4), random.between(1, 70), unit * random.between(1, 9)};
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        unit(random.between(0, 1) == 1 ? 8 : 1),
        x(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        residual(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        own(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        target(static_cast<Target>(random.between(0, 2))) {
    const auto channels = static_cast<std::size_t>(shape.channels);
    const auto rows = static_cast<std::size_t>(shape.batch);
    const std::size_t gap = unit == 8 ? 8 : 3;
    // The bias is the same for all pixels, or differs between them.
    bias_pixel_stride = is_present() ? static_cast<std::int64_t>(channels + gap) : 0;
    bias = stored<float>(random.normals(static_cast<std::size_t>(shape.pixels) * (channels + gap)));
    vector = stored<T>(random.normals(rows * (channels + gap)));
    scale_shift = stored<T>(random.normals(rows * (2 * channels + gap)));
    arguments.x = x.input();
    arguments.y = written().map();
    arguments.batch = shape.batch;
    arguments.pixels = shape.pixels;
    arguments.channels = shape.channels;
    arguments.bias = is_present() ? bias.data() : nullptr;
    arguments.bias_pixel_stride = bias_pixel_stride;
    arguments.vector = is_present() ? vector.data() : nullptr;
    arguments.vector_stride = static_cast<std::int64_t>(channels + gap);
    if (target == Target::kResidual || is_present()) arguments.residual = residual.input();
    arguments.scale = is_present() ? 0.75F : 1.0F;
    arguments.shift = is_present() ? -0.5F : 0.0F;
    arguments.scale_shift = is_present() ? scale_shift.data() : nullptr;
    arguments.scale_shift_stride = static_cast<std::int64_t>(2 * channels + gap);
    arguments.activation = static_cast<cuda::Activation>(random.between(0, 4));
  }

  bool is_present() { return random.between(0, 1) == 1; }
  WideMap<T>& written() { return target == Target::kOwn ? own : target == Target::kInput ? x : residual; }

  RandomValues random;
  Shape shape;
  int unit;  ///< channels by which vectors are aligned, or not
  WideMap<T> x, residual, own;
  Target target;
  DeviceVector<T> vector, scale_shift;
  DeviceVector<float> bias;
  std::int64_t bias_pixel_stride = 0;
  cuda::ChannelwiseArguments<T> arguments{};
};

double activated(cuda::Activation activation, double x) {
  switch (activation) {
    case cuda::Activation::kSilu:
      return x / (1 + std::exp(-x));
    case cuda::Activation::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case cuda::Activation::kGelu:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case cuda::Activation::kRelu:
      return std::max(x, 0.0);
    default:
      return x;
  }
}

template <typename T>
double value_at(const cuda::ChannelwiseArguments<T>& a, int n, int pixel, int c) {
  double value = value_of(a.x, n, pixel, c);
  if (a.bias != nullptr) value += value_of(a.bias, pixel * a.bias_pixel_stride + c);
  if (a.vector != nullptr) value += value_of(a.vector, n * a.vector_stride + c);
  if (a.residual.data != nullptr) value += value_of(a.residual, n, pixel, c);
  value = static_cast<double>(a.scale) * value + static_cast<double>(a.shift);
  if (a.scale_shift != nullptr) {
    const T* row = a.scale_shift + n * a.scale_shift_stride;
    value = value * (1 + value_of(row, c)) + value_of(row, a.channels + c);
  }
  return activated(a.activation, value);
}

/// Computes the whole wider map that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> result = floats(test.written().values());
  for (int n = 0; n < test.shape.batch; ++n) {
    for (int pixel = 0; pixel < test.shape.pixels; ++pixel) {
      for (int c = 0; c < test.shape.channels; ++c) {
        result[test.written().index(n, pixel, c)] = static_cast<float>(value_at(test.arguments, n, pixel, c));
      }
    }
  }
  return result;
}

template <typename T>
void check_shapes(double tolerance) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<T> test(seed);
    const std::vector<float> expected = expected_of(test);
    const DeviceVector<T> before = test.written().values();
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      std::copy(before.begin(), before.end(), test.written().values().begin());
      cuda::channelwise(test.arguments, nullptr);
      synchronize();
      ASSERT_LT(relative_difference(floats(test.written().values()), expected), tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

TEST(CudaChannelwise, Float32AgreesWithAPlainLoop) { check_shapes<float>(1e-5); }
TEST(CudaChannelwise, HalfAgreesWithAPlainLoop) { check_shapes<cuda::Half>(1e-3); }
TEST(CudaChannelwise, Bfloat16AgreesWithAPlainLoop) { check_shapes<cuda::Bfloat16>(8e-3); }

}  // namespace
}  // namespace dpm::test
