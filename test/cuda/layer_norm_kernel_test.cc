// Test of layer normalisation against a plain loop.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/kernels/layer_norm.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

template <typename T>
struct Case {
  /// Channels fill a part of a warp's vectors, or several rounds of them; every third map is normalised in place.
  explicit Case(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 4)),
        pixels(random.between(1, 30)),
        channels((seed % 2 == 0 ? 8 : 1) * random.between(1, 90)),
        in_place(seed % 3 == 2),
        x(random_map<T>(random, batch, pixels, channels)),
        y(random_map<T>(random, batch, pixels, channels)),
        gamma(on_device(random.normals(static_cast<std::size_t>(channels), 0.3F, 1))),
        beta(on_device(random.normals(static_cast<std::size_t>(channels), 0.3F))),
        given(x.values()),
        before(result().values()) {}

  WideMap<T>& result() { return in_place ? x : y; }

  const DeviceVector<T>& run() {
    x.values() = given;
    result().values() = before;
    cuda::LayerNormArguments<T> arguments{};
    arguments.x = x.input();
    arguments.y = result().map();
    arguments.batch = batch;
    arguments.pixels = pixels;
    arguments.channels = channels;
    arguments.gamma = gamma.data();
    arguments.beta = beta.data();
    arguments.epsilon = 1e-3F;
    cuda::layer_norm(arguments, nullptr);
    synchronize();
    return result().values();
  }

  RandomValues random;
  int batch, pixels, channels;
  bool in_place;
  WideMap<T> x, y;
  DeviceVector<float> gamma, beta;
  DeviceVector<T> given, before;
};

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> expected = floats(test.before);
  for (int n = 0; n < test.batch; ++n) {
    for (int pixel = 0; pixel < test.pixels; ++pixel) {
      const auto x = [&](int c) { return value_of(test.given.data(), test.x.index(n, pixel, c)); };
      double mean = 0;
      for (int c = 0; c < test.channels; ++c) mean += x(c) / test.channels;
      double variance = 0;
      for (int c = 0; c < test.channels; ++c) variance += (x(c) - mean) * (x(c) - mean) / test.channels;
      for (int c = 0; c < test.channels; ++c) {
        const double normalised = (x(c) - mean) / std::sqrt(variance + 1e-3);
        expected[test.result().index(n, pixel, c)] =
            static_cast<float>(normalised * value_of(test.gamma.data(), c) + value_of(test.beta.data(), c));
      }
    }
  }
  return expected;
}

TEST(CudaLayerNorm, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaLayerNorm, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaLayerNorm, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
