// Test of the activations that are kernels of their own against plain loops.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/kernels/activation.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

/// Every other case is of tanh, every third in place.
template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 4)),
        pixels(random.between(1, 30)),
        channels((seed % 4 < 2 ? 8 : 1) * random.between(1, 30)),
        is_tanh(seed % 2 == 1),
        in_place(seed % 3 == 2),
        x(random_map<T>(random, batch, pixels, channels)),
        y(random_map<T>(random, batch, pixels, channels)),
        given(x.values()),
        before(result().values()) {}

  WideMap<T>& result() { return in_place ? x : y; }

  const DeviceVector<T>& run() {
    x.values() = given;
    result().values() = before;
    const cuda::ActivationArguments<T> arguments{x.input(), result().map(), batch, pixels, channels};
    is_tanh ? cuda::tanh_of(arguments, nullptr) : cuda::quick_gelu(arguments, nullptr);
    synchronize();
    return result().values();
  }

  RandomValues random;
  int batch, pixels, channels;
  bool is_tanh, in_place;
  WideMap<T> x, y;
  DeviceVector<T> given, before;
};

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> expected = floats(test.before);
  for (int n = 0; n < test.batch; ++n) {
    for (int pixel = 0; pixel < test.pixels; ++pixel) {
      for (int c = 0; c < test.channels; ++c) {
        const double x = value_of(test.given.data(), static_cast<std::int64_t>(test.x.index(n, pixel, c)));
        const double active = test.is_tanh ? std::tanh(x) : x / (1 + std::exp(-1.702 * x));
        expected[test.result().index(n, pixel, c)] = static_cast<float>(active);
      }
    }
  }
  return expected;
}

TEST(CudaActivation, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-6); }
TEST(CudaActivation, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaActivation, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
