// Test of values multiplied by the GELU of their gates against a plain loop.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/kernels/geglu.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        batch(random.between(1, 4)),
        pixels(random.between(1, 30)),
        channels((seed % 2 == 0 ? 8 : 1) * random.between(1, 30)),
        x(random_map<T>(random, batch, pixels, 2 * channels)),
        y(random_map<T>(random, batch, pixels, channels)),
        before(y.values()) {}

  const DeviceVector<T>& run() {
    y.values() = before;
    cuda::geglu(cuda::GegluArguments<T>{x.input(), y.map(), batch, pixels, channels}, nullptr);
    synchronize();
    return y.values();
  }

  RandomValues random;
  int batch, pixels, channels;
  WideMap<T> x, y;
  DeviceVector<T> before;
};

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> expected = floats(test.before);
  for (int n = 0; n < test.batch; ++n) {
    for (int pixel = 0; pixel < test.pixels; ++pixel) {
      for (int c = 0; c < test.channels; ++c) {
        const double gate = value_of(test.x.input(), n, pixel, test.channels + c);
        const double active = gate * (1 + std::erf(gate / std::sqrt(2.0))) / 2;
        expected[test.y.index(n, pixel, c)] = static_cast<float>(value_of(test.x.input(), n, pixel, c) * active);
      }
    }
  }
  return expected;
}

TEST(CudaGeglu, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-6); }
TEST(CudaGeglu, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaGeglu, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

}  // namespace
}  // namespace dpm::test
