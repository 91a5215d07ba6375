// Test of the kernel of activations' derivatives against a plain loop in double.
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

#include "cuda/kernels/activation_backward.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

enum class Target { kOwn, kInput, kGiven };

struct Shape {
  int batch;
  int pixels;
  int channels;
};

Shape shape_of(RandomValues& random, std::uint32_t seed) {
  constexpr Shape kCorners[] = {{1, 1, 1}, {1, 3, 4096}, {65, 2, 8}, {2, 49, 33}, {1, 289, 24}, {3, 65, 64}};
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
        given(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        own(random_map<T>(random, shape.batch, shape.pixels, shape.channels, unit)),
        target(static_cast<Target>(random.between(0, 2))),
        before(written().values()) {
    // Values cover the range of the slopes, and numbers far outside.
    for (T& value : x.values()) value = cuda::from_float<T>(4.0F * cuda::to_float(value));
    before = written().values();
    arguments = {x.input(),
                 given.input(),
                 written().map(),
                 shape.batch,
                 shape.pixels,
                 shape.channels,
                 static_cast<cuda::Activation>(random.between(1, 4))};
  }

  WideMap<T>& written() { return target == Target::kOwn ? own : target == Target::kInput ? x : given; }

  /// Runs the kernel; returns the whole wider map.
  DeviceVector<T> run() {
    std::copy(before.begin(), before.end(), written().values().begin());
    cuda::activation_backward(arguments, nullptr);
    synchronize();
    return written().values();
  }

  RandomValues random;
  Shape shape;
  int unit;  ///< channels by which vectors are aligned, or not
  WideMap<T> x, given, own;
  Target target;
  DeviceVector<T> before;
  cuda::ActivationBackwardArguments<T> arguments{};
};

double slope(cuda::Activation activation, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  switch (activation) {
    case cuda::Activation::kSilu:
      return sigmoid * (1 + x * (1 - sigmoid));
    case cuda::Activation::kMish: {
      const double t = std::tanh(std::log1p(std::exp(x)));
      return t + x * (1 - t * t) * sigmoid;
    }
    case cuda::Activation::kGelu:
      return std::erfc(-x / std::sqrt(2.0)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
    default:
      return x > 0 ? 1 : 0;
  }
}

/// Computes the whole wider map that is expected.
template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  const cuda::ActivationBackwardArguments<T>& a = test.arguments;
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < a.batch; ++n) {
    for (int pixel = 0; pixel < a.pixels; ++pixel) {
      for (int c = 0; c < a.channels; ++c) {
        const double value = slope(a.activation, value_of(a.x, n, pixel, c)) * value_of(a.d, n, pixel, c);
        result[test.written().index(n, pixel, c)] = static_cast<float>(value);
      }
    }
  }
  return result;
}

TEST(CudaActivationBackward, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaActivationBackward, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaActivationBackward, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
