// Test of attention kernels on the emulation against a plain loop in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iterator>

#include "attention_case.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = kernel_shapes(200);

constexpr AttentionShape kCorners[] = {
    {1, 1, 1, 1, 1},   {1, 1, 1, 3, 1024}, {1, 2, 1, 2, 1023}, {65, 1, 1, 2, 8},  {2, 3, 7, 1, 5},    {1, 1, 2, 257, 4},
    {1, 2, 5, 16, 8},  {1, 1, 2, 9, 512},  {1, 1, 1, 50, 256}, {2, 2, 1, 33, 64}, {1, 2, 3, 5, 160},  {1, 1, 3, 7, 129},
    {1, 1, 2, 5, 513}, {1, 3, 2, 6, 40},   {1, 1, 2, 129, 2},  {1, 2, 2, 5, 264}, {2, 1, 2, 300, 16},
};

AttentionShape shape_of(std::uint32_t seed, RandomValues& random) {
  if (seed < std::size(kCorners)) return kCorners[seed];
  const int unit = random.between(0, 1) == 1 ? 8 : 1;
  return {random.between(1, 2), random.between(1, 2), random.between(1, 4), random.between(1, 20),
          random.between(1, unit == 8 ? 12 : 50) * unit};
}

template <typename T>
struct Case : AttentionCase<T> {
  explicit Case(std::uint32_t seed) : Case(seed, RandomValues(seed)) {}
  Case(std::uint32_t seed, RandomValues random) : Case(shape_of(seed, random), random) {}
  Case(const AttentionShape& shape, RandomValues& random)
      : AttentionCase<T>(shape, random, random.between(0, 1) == 1 ? 8 : 1) {}
};

TEST(CudaAttention, Float32AgreesWithAPlainLoop) { check_cases<Case<float>>(kShapes, 1e-5); }
TEST(CudaAttention, HalfAgreesWithAPlainLoop) { check_cases<Case<cuda::Half>>(kShapes, 1e-3); }
TEST(CudaAttention, Bfloat16AgreesWithAPlainLoop) { check_cases<Case<cuda::Bfloat16>>(kShapes, 8e-3); }

TEST(CudaAttention, LargeScoresDoNotOverflow) {
  RandomValues random(1);
  for (const int sign : {1, -1}) {
    Case<float> test({1, 1, 3, 40, 16}, random);
    test.arguments.scale = static_cast<float>(sign) * 300.0F;
    for (float& value : test.q.values()) value = 1.0F + std::abs(value);
    for (float& value : test.k.values()) value = 1.0F + std::abs(value);
    const std::vector<float> expected = expected_of(test);
    // The tolerance is large because scores of tens of thousands in float32 are wrong by hundredths.
    EXPECT_LT(relative_difference(floats(test.run()), expected), 2e-2);
  }
}

TEST(CudaAttention, ASampleGetsTheSameBitsInEveryBatch) {
  for (std::uint32_t seed = 0; seed < kShapes / 4; ++seed) {
    Case<cuda::Bfloat16> test(seed);
    const DeviceVector<cuda::Bfloat16> together = test.run();
    const DeviceVector<cuda::Bfloat16> alone = test.run_one_by_one();
    ASSERT_EQ(std::memcmp(together.data(), alone.data(), together.size() * sizeof together[0]), 0) << "shape " << seed;
  }
}

}  // namespace
}  // namespace dpm::test
