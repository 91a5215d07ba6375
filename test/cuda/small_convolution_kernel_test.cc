// Test of the convolution of small maps with its norm, on the emulation, against a plain loop in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>

#include "cuda/kernels/small_convolution_plan.h"
#include "small_convolution_case.h"

namespace dpm::test {
namespace {

using cuda::SmallConvolutionShape;
using Operands = SmallConvolutionOperands;

constexpr std::uint32_t kShapes = 48;

SmallConvolutionShape shape_of(std::uint32_t seed, RandomValues& random) {
  // Shapes with groups of 2 to 128 channels, one slice and several, whose last has fewer groups; rows that no tile ends
  // with, all tiles, more pixels than threads hold.
  const SmallConvolutionShape corners[] = {
      small_convolution_shape(1, 1, 1, 8, 4, 1, 1, 4),       small_convolution_shape(2, 5, 3, 48, 24, 3, 1, 24),
      small_convolution_shape(3, 4, 4, 32, 24, 3, 1, 8),     small_convolution_shape(1, 5, 3, 72, 20, 3, 1, 9),
      small_convolution_shape(1, 4, 4, 128, 16, 3, 1, 1),    small_convolution_shape(1, 3, 7, 120, 24, 3, 1, 6),
      small_convolution_shape(1, 7, 7, 48, 40, 3, 1, 4),     small_convolution_shape(2, 9, 9, 16, 36, 3, 2, 2),
      small_convolution_shape(1, 16, 16, 64, 32, 3, 2, 0),   small_convolution_shape(1, 20, 18, 32, 72, 3, 1, 4),
      small_convolution_shape(1, 12, 12, 40, 520, 1, 1, 20), small_convolution_shape(2, 6, 6, 24, 48, 1, 2, 0),
      small_convolution_shape(1, 32, 32, 16, 16, 3, 2, 2),   small_convolution_shape(1, 16, 16, 96, 32, 3, 1, 8),
  };
  if (seed < std::size(corners)) return corners[seed];
  const int of_group = 1 << random.between(0, 4);
  const int in = std::max(of_group, 8) * random.between(1, 4);
  return small_convolution_shape(random.between(1, 3), random.between(2, 9), random.between(2, 9), in,
                                 4 * random.between(1, 12), 2 * random.between(0, 1) + 1, random.between(1, 2),
                                 random.between(0, 3) == 0 ? 0 : in / of_group);
}

template <typename T>
struct Case : SmallConvolutionCase<T> {
  explicit Case(std::uint32_t seed) : Case(seed, RandomValues(seed)) {}
  Case(std::uint32_t seed, RandomValues random)
      : SmallConvolutionCase<T>(shape_of(seed, random), seed % 4 == 0 ? Operands::all() : Operands::some(random),
                                random) {}
};

template <typename T>
bool same_bits(const DeviceVector<T>& a, const DeviceVector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <typename T>
cuda::SmallConvolutionArguments<T> sample_of(cuda::SmallConvolutionArguments<T> a, int n) {
  a.shape.batch = 1;
  a.x.data += n * a.x.sample_stride;
  a.y.data += n * a.y.sample_stride;
  if (a.vector != nullptr) a.vector += n * a.vector_stride;
  if (a.norm.vector != nullptr) a.norm.vector += n * a.norm.vector_stride;
  if (a.norm.scale_shift != nullptr) a.norm.scale_shift += n * a.norm.scale_shift_stride;
  if (a.residual.data != nullptr) a.residual.data += n * a.residual.sample_stride;
  return a;
}

template <typename T>
class CudaSmallConvolution : public testing::Test {};
using Types = testing::Types<cuda::Half, cuda::Bfloat16>;
TYPED_TEST_SUITE(CudaSmallConvolution, Types);

TYPED_TEST(CudaSmallConvolution, AgreesWithAPlainLoopInEveryOrder) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<TypeParam> test(seed);
    ASSERT_TRUE(cuda::takes_small_convolution(test.arguments)) << "shape " << seed;
    const SmallConvolutionReference expected = reference_of(test);
    const DeviceVector<TypeParam> first = test.run();
    ASSERT_LE(worst_error(first, expected), 1) << "shape " << seed;
    // Every run starts with the counters that the last one has left.
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_TRUE(same_bits(test.run(), first)) << "shape " << seed << ", order " << order;
    }
    for (const unsigned counter : test.counters) ASSERT_EQ(counter, 0U) << "shape " << seed;
  }
}

TYPED_TEST(CudaSmallConvolution, EveryOperandCounts) {
  for (int operand = 0; operand < 11; ++operand) {
    RandomValues random(1);
    Operands operands = Operands::none();
    bool* const kinds[] = {&operands.norm_silu, &operands.norm_bias, &operands.norm_vector, &operands.scale_shift,
                           &operands.bias,      &operands.vector,    &operands.residual,    &operands.silu};
    if (operand < 8) *kinds[operand] = true;
    if (operand == 8) operands.scale = 0.5F;
    if (operand == 9) operands.residual = operands.in_place = true;
    const SmallConvolutionShape shape = small_convolution_shape(2, 3, 4, 16, 8, 3, 1, operand == 10 ? 0 : 2);
    SmallConvolutionCase<TypeParam> test(shape, operands, random);
    EXPECT_LE(worst_error(test.run(), reference_of(test)), 1) << "operand " << operand;
  }
}

TYPED_TEST(CudaSmallConvolution, SlicesAreAddedInOneOrderWhoeverComesLast) {
  RandomValues random(7);
  constexpr int kHalf = 128;
  Operands operands = Operands::none();
  operands.scale = 65536.0F;
  SmallConvolutionCase<TypeParam> test(small_convolution_shape(1, 4, 4, 2 * kHalf, 256, 3, 1, 0), operands, random);
  ASSERT_GE(cuda::plan_small_convolution(test.arguments.shape).slices, 4);
  // The slices cancel: only the rounding of their sum remains.
  for (int pixel = 0; pixel < 16; ++pixel) {
    for (int c = 0; c < kHalf; ++c) {
      test.x.values()[test.x.index(0, pixel, c + kHalf)] = test.x.values()[test.x.index(0, pixel, c)];
    }
  }
  for (std::size_t i = 0; i < test.weight.size(); ++i) {
    if (i / kHalf % 2 == 1) test.weight[i] = cuda::from_float<TypeParam>(-cuda::to_float(test.weight[i - kHalf]));
  }
  const DeviceVector<TypeParam> first = test.run();
  int rounded = 0;
  for (int c = 0; c < 256; ++c) rounded += cuda::to_float(first[test.y.index(0, 0, c)]) != 0.0F ? 1 : 0;
  EXPECT_GT(rounded, 64);
  for (const std::uint32_t order : {1U, 2U, 3U, 4U}) {
    const ThreadOrder threads(order);
    EXPECT_TRUE(same_bits(test.run(), first)) << "order " << order;
  }
}

TYPED_TEST(CudaSmallConvolution, ASampleGetsTheSameBitsInEveryBatch) {
  for (const SmallConvolutionShape& shape :
       {small_convolution_shape(3, 4, 4, 64, 48, 3, 1, 8), small_convolution_shape(3, 8, 8, 40, 24, 3, 1, 4)}) {
    RandomValues random(2);
    SmallConvolutionCase<TypeParam> test(shape, Operands::all(), random);
    const DeviceVector<TypeParam> together = test.run();
    test.y.values() = test.before;
    for (int n = 0; n < shape.batch; ++n) cuda::small_convolution(sample_of(test.arguments, n), nullptr);
    synchronize();
    EXPECT_TRUE(same_bits(test.y.values(), together));
  }
}

TYPED_TEST(CudaSmallConvolution, NothingElseIsRead) {
  const auto nan = cuda::from_float<TypeParam>(std::nanf(""));
  for (std::uint32_t seed = 1; seed < kShapes; seed += 3) {
    Case<TypeParam> test(seed);
    const DeviceVector<TypeParam> expected = test.run();
    const SmallConvolutionShape& s = test.arguments.shape;
    DeviceVector<TypeParam> others(test.x.values().size(), nan);
    for (int n = 0; n < s.batch; ++n) {
      for (int pixel = 0; pixel < s.in_height * s.in_width; ++pixel) {
        for (int c = 0; c < s.in_channels; ++c) {
          const std::size_t i = test.x.index(n, pixel, c);
          others[i] = test.x.values()[i];
        }
      }
    }
    test.x.values() = others;
    // The launch must not read anything of the last one.
    for (float& value : test.workspace) value = std::nanf("");
    ASSERT_TRUE(same_bits(test.run(), expected)) << "shape " << seed;
  }
}

TYPED_TEST(CudaSmallConvolution, ANaNReachesOnlyWhatReadsIt) {
  RandomValues random(3);
  SmallConvolutionCase<TypeParam> test(small_convolution_shape(2, 6, 6, 72, 24, 3, 1, 0), Operands::none(), random);
  test.x.values()[test.x.index(1, 14, 71)] = cuda::from_float<TypeParam>(std::nanf(""));
  const DeviceVector<TypeParam> y = test.run();
  for (int n = 0; n < 2; ++n) {
    for (int pixel = 0; pixel < 36; ++pixel) {
      const bool reads = n == 1 && std::abs(pixel / 6 - 2) <= 1 && std::abs(pixel % 6 - 2) <= 1;
      ASSERT_EQ(std::isnan(cuda::to_float(y[test.y.index(n, pixel, 23)])), reads) << n << ", " << pixel;
    }
  }
}

TYPED_TEST(CudaSmallConvolution, AFarMeanCostsNoDigits) {
  RandomValues random(4);
  SmallConvolutionCase<TypeParam> test(small_convolution_shape(1, 8, 8, 32, 16, 3, 1, 4), Operands::none(), random);
  // The bias moves x far from zero, and its sum of squares has no correct digit of the variance.
  for (float& value : test.norm_bias) value = 10000.0F;
  test.arguments.norm.bias = test.norm_bias.data();
  EXPECT_LE(worst_error(test.run(), reference_of(test)), 8);
}

TYPED_TEST(CudaSmallConvolution, RefusesWhatItHasNoTilesFor) {
  const auto takes = [](const SmallConvolutionShape& shape) { return cuda::takes_small_convolution(shape); };
  EXPECT_TRUE(takes(small_convolution_shape(4, 16, 16, 1024, 1024, 3, 1, 32)));
  EXPECT_TRUE(takes(small_convolution_shape(1, 32, 32, 128, 128, 3, 2, 0)));
  EXPECT_FALSE(takes(small_convolution_shape(5, 16, 16, 64, 64, 3, 1, 32)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 64, 64, 5, 1, 32)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 64, 64, 3, 3, 32)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 60, 64, 3, 1, 4)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 64, 3, 3, 1, 4)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 64, 64, 3, 1, 3)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 8, 8, 256, 64, 3, 1, 1)));
  EXPECT_FALSE(takes(small_convolution_shape(1, 1, 1024, 64, 64, 3, 1, 8)));

  RandomValues random(5);
  const SmallConvolutionCase<TypeParam> test(small_convolution_shape(1, 4, 4, 16, 8, 3, 1, 2), Operands::all(), random);
  for (int pointer = 0; pointer < 10; ++pointer) {
    cuda::SmallConvolutionArguments<TypeParam> a = test.arguments;
    if (pointer == 0) ++a.x.data;
    if (pointer == 1) ++a.weight;
    if (pointer == 2) ++a.y.data;
    if (pointer == 3) ++a.residual.data;
    if (pointer == 4) ++a.bias;
    if (pointer == 5) ++a.vector;
    if (pointer == 6) ++a.norm.gamma;
    if (pointer == 7) ++a.norm.bias;
    if (pointer == 8) ++a.norm.scale_shift_stride;
    if (pointer == 9) a.shape.groups = 0;
    EXPECT_FALSE(cuda::takes_small_convolution(a)) << pointer;
  }
}

TYPED_TEST(CudaSmallConvolution, AgreesOnMapsOfNetworks) {
  RandomValues random(6);
  for (const SmallConvolutionShape& shape :
       {small_convolution_shape(1, 4, 4, 256, 256, 3, 1, 32), small_convolution_shape(1, 8, 8, 512, 128, 3, 1, 32),
        small_convolution_shape(1, 16, 16, 128, 128, 3, 1, 32)}) {
    SmallConvolutionCase<TypeParam> test(shape, Operands::all(), random);
    EXPECT_LE(worst_error(test.run(), reference_of(test)), 1) << shape.in_height;
  }
}

TEST(CudaSmallConvolutionPlan, FillsTheMultiprocessorsWithASample) {
  const int sizes[][3] = {{4, 256, 256}, {8, 256, 256}, {8, 512, 256}, {16, 128, 128}, {16, 256, 256}, {16, 512, 256}};
  for (const auto& [size, in, out] : sizes) {
    const SmallConvolutionShape shape = small_convolution_shape(1, size, size, in, out, 3, 1, 32);
    EXPECT_EQ(cuda::plan_small_convolution(shape).blocks(), 128) << size << ", " << in;
  }
}

#if defined(DPM_CUDA_EMULATION)
TYPED_TEST(CudaSmallConvolution, AMissingBarrierWouldShow) {
  for (std::uint32_t seed = 1; seed < kShapes; ++seed) {
    Case<TypeParam> test(seed);
    const SmallConvolutionReference expected = reference_of(test);
    const WithoutBarriers broken;
    EXPECT_GT(worst_error(test.run(), expected), 1) << "shape " << seed;
  }
}
#endif

}  // namespace
}  // namespace dpm::test
