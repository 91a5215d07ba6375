// Test of the derivative of weighted squared differences against a plain loop.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/kernels/square_score.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 4)),
        pixels(random.between(1, 50)),
        channels(random.between(1, 20)),
        padding(random.between(0, 3)),
        x(random_map<T>(random, batch, pixels, channels)),
        target(random_map<T>(random, batch, pixels, channels)),
        compared(random_map<T>(random, batch, pixels, channels)),
        y(random_map<T>(random, batch, pixels, channels + padding)) {
    weights = stored<T>(random.normals(static_cast<std::size_t>(batch) * kStride));
    before = y.values();
    arguments.x = x.input();
    arguments.target = target.input();
    if (random.between(0, 1) == 1) arguments.compared = compared.input();
    arguments.weight = weights.data();
    if (random.between(0, 1) == 1) arguments.weight_rest = weights.data() + 1;
    arguments.weight_stride = kStride;
    arguments.y = y.map();
    arguments.batch = batch;
    arguments.pixels = pixels;
    arguments.channels = channels;
    arguments.padded_channels = channels + padding;
  }

  const DeviceVector<T>& run() {
    y.values() = before;
    arguments.y = y.map();
    cuda::square_score(arguments, nullptr);
    synchronize();
    return y.values();
  }

  static constexpr std::size_t kStride = 3;
  RandomValues random;
  int batch, pixels, channels, padding;
  WideMap<T> x, target, compared, y;
  DeviceVector<T> weights, before;
  cuda::SquareScoreArguments<T> arguments{};
};

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> result = floats(test.before);
  for (int n = 0; n < test.batch; ++n) {
    double weight = value_of(test.arguments.weight, n * test.arguments.weight_stride);
    if (test.arguments.weight_rest != nullptr) {
      weight += value_of(test.arguments.weight_rest, n * test.arguments.weight_stride);
    }
    for (int pixel = 0; pixel < test.pixels; ++pixel) {
      for (int c = 0; c < test.channels + test.padding; ++c) {
        double score = 0;
        if (c < test.channels) {
          double target = value_of(test.target.input(), n, pixel, c);
          if (test.arguments.compared.data != nullptr) {
            target = std::pow(target - value_of(test.compared.input(), n, pixel, c), 2);
          }
          score = 2 * weight * (value_of(test.x.input(), n, pixel, c) - target);
        }
        result[test.y.index(n, pixel, c)] = static_cast<float>(score);
      }
    }
  }
  return result;
}

TEST(CudaSquareScore, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-6); }
TEST(CudaSquareScore, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaSquareScore, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
