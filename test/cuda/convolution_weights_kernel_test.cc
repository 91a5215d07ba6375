// Test of the kernels of weight gradients against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "cuda/kernels/convolution_weights.h"
#include "cuda/kernels/weight_sums.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(100);

/// Makes the shape of a convolution with as many zeros on either side.
cuda::ConvolutionWeightsShape padded_shape(int rows, int height, int width, int inputs, int outputs, int kernel,
                                           int stride, int padding) {
  const auto length = [&](int in) { return (in + 2 * padding - kernel) / stride + 1; };
  return {rows, height, width, inputs, length(height), length(width), outputs, kernel, stride, padding};
}

cuda::ConvolutionWeightsShape shape_of(RandomValues& random, std::uint32_t seed) {
  // Shapes of whole tiles and more, of several parts, and of long sums.
  const cuda::ConvolutionWeightsShape corners[] = {
      padded_shape(1, 1, 1, 1, 1, 1, 1, 0),   padded_shape(1, 4, 4, 64, 64, 1, 1, 0),
      padded_shape(2, 3, 3, 68, 72, 1, 1, 0), padded_shape(1, 24, 24, 3, 5, 3, 1, 1),
      padded_shape(70, 1, 1, 9, 24, 1, 1, 0), padded_shape(1, 9, 9, 8, 4, 3, 2, 1),
      padded_shape(3, 20, 20, 4, 4, 1, 1, 0), padded_shape(2, 8, 8, 16, 8, 3, 1, 1),
      padded_shape(1, 33, 33, 2, 1, 3, 1, 1)};
  if (seed < std::size(corners)) return corners[seed];
  const int kernel = 1 + 2 * random.between(0, 2);
  const int unit = random.between(0, 1) == 1 ? 4 : 1;
  return padded_shape(random.between(1, 3), random.between(kernel, 9), random.between(kernel, 9),
                      unit * random.between(1, 7), unit * random.between(1, 7), kernel, random.between(1, 2),
                      random.between(0, kernel - 1));
}

template <typename T>
struct Case {
  explicit Case(std::uint32_t seed)
      : random(seed),
        shape(shape_of(random, seed)),
        // Rows behind the last one that counts, as those that pad a batch.
        x(random_map<T>(random, shape.rows + 1, shape.in_height * shape.in_width, shape.in_channels)),
        d(random_map<T>(random, shape.rows + 1, shape.out_height * shape.out_width, shape.out_channels)) {
    // Elements behind the sums stay as they are.
    before = stored<float>(random.normals(static_cast<std::size_t>(shape.weights()) + 3));
    workspace.resize(static_cast<std::size_t>(cuda::convolution_weights_workspace(shape)));
  }

  const DeviceVector<float>& run() {
    sum = before;
    // NaN shows elements that are read before they are written.
    std::fill(workspace.begin(), workspace.end(), std::numeric_limits<float>::quiet_NaN());
    cuda::convolution_weights<T>({shape, x.input(), d.input(), workspace.data(), sum.data()}, nullptr);
    synchronize();
    return sum;
  }

  RandomValues random;
  cuda::ConvolutionWeightsShape shape;
  WideMap<T> x, d;
  DeviceVector<float> before, sum, workspace;
};

template <typename T>
double product_sum(Case<T>& test, int o, int c, int tap) {
  const cuda::ConvolutionWeightsShape& s = test.shape;
  double sum = 0;
  for (int n = 0; n < s.rows; ++n) {
    for (int pixel = 0; pixel < s.out_height * s.out_width; ++pixel) {
      const int row = pixel / s.out_width * s.stride + tap / s.kernel - s.pad_before;
      const int column = pixel % s.out_width * s.stride + tap % s.kernel - s.pad_before;
      if (row < 0 || row >= s.in_height || column < 0 || column >= s.in_width) continue;
      sum += value_of(test.d.input(), n, pixel, o) * value_of(test.x.input(), n, row * s.in_width + column, c);
    }
  }
  return sum;
}

template <typename T>
std::vector<float> expected_of(Case<T>& test) {
  std::vector<float> result = floats(test.before);
  std::size_t place = 0;
  for (int o = 0; o < test.shape.out_channels; ++o) {
    for (int c = 0; c < test.shape.in_channels; ++c) {
      for (int tap = 0; tap < test.shape.kernel * test.shape.kernel; ++tap, ++place) {
        result[place] = static_cast<float>(static_cast<double>(result[place]) + product_sum(test, o, c, tap));
      }
    }
  }
  return result;
}

TEST(CudaConvolutionWeights, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-6); }
TEST(CudaConvolutionWeights, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-6); }
TEST(CudaConvolutionWeights, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 1e-6); }

TEST(CudaConvolutionWeights, HaveTheSameBitsInEveryOrderOfThreads) {
  for (std::uint32_t seed = 0; seed < 9; ++seed) {
    Case<float> test(seed);
    const std::vector<float> expected = floats(test.run());
    for (const std::uint32_t order : {1U, 2U}) {
      const ThreadOrder threads(order);
      ASSERT_EQ(floats(test.run()), expected) << seed;
    }
  }
}

TEST(CudaConvolutionWeights, NeedNoMoreWorkspaceForFewerRows) {
  for (const int outputs : {3, 64, 512}) {
    std::int64_t before = 0;
    for (int rows = 1; rows < 1200; ++rows) {
      const std::int64_t floats = cuda::convolution_weights_workspace(padded_shape(rows, 15, 15, 64, outputs, 3, 1, 1));
      ASSERT_GE(floats, before) << rows;
      before = floats;
    }
    // It is bounded by the weights, and by the blocks that fill a card.
    EXPECT_LE(before, (513 + outputs * 9) * 64 * 64);
  }
}

#if defined(DPM_CUDA_EMULATION)
TEST(CudaConvolutionWeights, AMissingBarrierWouldShow) {
  Case<float> test(6);
  const std::vector<float> expected = expected_of(test);
  const WithoutBarriers broken;
  EXPECT_FALSE(relative_difference(floats(test.run()), expected) < 1e-6);
}
#endif

template <typename T>
void check_sums(double tolerance) {
  RandomValues random(4);
  constexpr int kOutputs = 3;
  constexpr int kTaps = 9;
  constexpr int kInputs = 5;
  constexpr int kPadded = 8;
  constexpr std::int64_t kStride = std::int64_t{kOutputs} * kTaps * kPadded + 1;
  const auto parts = stored<T>(random.normals(2 * kStride));
  auto sum = stored<float>(random.normals(std::size_t{kOutputs} * kTaps * kInputs + 3));
  std::vector<float> expected = floats(sum);
  for (int o = 0; o < kOutputs; ++o) {
    for (int tap = 0; tap < kTaps; ++tap) {
      for (int c = 0; c < kInputs; ++c) {
        const std::int64_t from = (std::int64_t{o} * kTaps + tap) * kPadded + c;
        expected[static_cast<std::size_t>((std::int64_t{o} * kInputs + c) * kTaps + tap)] +=
            cuda::to_float(parts[static_cast<std::size_t>(from)]) +
            cuda::to_float(parts[static_cast<std::size_t>(from + kStride)]);
      }
    }
  }
  cuda::add_weight_sums<T>({parts.data(), 2, kStride, kOutputs, kTaps, kInputs, kPadded, sum.data()}, nullptr);
  synchronize();
  EXPECT_LT(relative_difference(floats(sum), expected), tolerance);
}

TEST(CudaWeightSums, AreThoseOfAPlainLoop) {
  check_sums<float>(1e-6);
  check_sums<cuda::Half>(1e-6);
  check_sums<cuda::Bfloat16>(1e-6);
}

}  // namespace
}  // namespace dpm::test
