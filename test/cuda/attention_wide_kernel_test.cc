// Test of attention of wide heads on tensor cores, on the emulation, against a plain loop in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>

#include "attention_case.h"
#include "cuda/kernels/attention_wide.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kShapes = 40;
constexpr AttentionShape kCorners[] = {
    {1, 1, 1, 1, 264},  {1, 1, 1, 7, 512},  {1, 2, 15, 1, 272},  {1, 2, 16, 32, 384}, {1, 1, 17, 33, 512},
    {3, 1, 1, 33, 264}, {1, 3, 17, 7, 272}, {2, 1, 16, 64, 512}, {1, 1, 33, 65, 448}, {1, 2, 15, 31, 504},
};

template <typename T>
struct Case : AttentionCase<T> {
  explicit Case(std::uint32_t seed) : Case(seed, RandomValues(seed)) {}
  Case(std::uint32_t seed, RandomValues random) : Case(shape_of(seed, random), random) {}
  Case(const AttentionShape& shape, RandomValues& random) : AttentionCase<T>(shape, random, 8) {}

  static AttentionShape shape_of(std::uint32_t seed, RandomValues& random) {
    if (seed < std::size(kCorners)) return kCorners[seed];
    return {random.between(1, 2), random.between(1, 2), random.between(1, 20), random.between(1, 70),
            random.between(33, 64) * 8};
  }
};

/// Returns the largest ratio of an error to its bound.
template <typename T>
double worst_error(const DeviceVector<T>& actual, const AttentionReference& expected) {
  // Bound for the rounding of the weights, of their sum and of the result, plus a fourth unit for float32.
  constexpr double kBound = 4 * (std::is_same_v<T, cuda::Half> ? 0x1p-11 : 0x1p-8);
  // Bound for the rounding of small weights and of their sum: Half has no relative precision below 2^-14.
  constexpr double kBoundOfSmall = std::is_same_v<T, cuda::Half> ? 2 * 0x1p-25 : 0;
  double worst = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(cuda::to_float(actual[i])) - expected.result[i]);
    const double bound = kBound * expected.magnitudes[i] + kBoundOfSmall * expected.values[i];
    if (error != 0) worst = error <= bound ? std::max(worst, error / bound) : std::numeric_limits<double>::infinity();
  }
  return worst;
}

template <typename T>
class CudaAttentionWide : public testing::Test {};
using Types = testing::Types<cuda::Half, cuda::Bfloat16>;
TYPED_TEST_SUITE(CudaAttentionWide, Types);

TYPED_TEST(CudaAttentionWide, AgreesWithAPlainLoop) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<TypeParam> test(seed);
    ASSERT_TRUE(cuda::takes_attention_wide(test.arguments));
    const AttentionReference expected = reference_of(test);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LE(worst_error(test.run(), expected), 1) << "shape " << seed << ", order " << order;
    }
  }
}

TYPED_TEST(CudaAttentionWide, AgreesOnAMapOf16x16) {
  RandomValues random(1);
  Case<TypeParam> test({1, 1, 256, 256, 512}, random);
  EXPECT_LE(worst_error(test.run(), reference_of(test)), 1);
}

TYPED_TEST(CudaAttentionWide, QueriesKeysAndValuesMayShareAMap) {
  RandomValues random(2);
  for (const int width : {264, 512}) {
    Case<TypeParam> test({2, 2, 18, 18, width}, random);
    const int channels = 2 * width;
    const WideMap<TypeParam> all = random_map<TypeParam>(random, 2, 18, 3 * channels, 8);
    test.arguments.q = all.input();
    test.arguments.k = all.input();
    test.arguments.v = all.input();
    test.arguments.k.data += channels;
    test.arguments.v.data += 2 * channels;
    EXPECT_LE(worst_error(test.run(), reference_of(test)), 1) << width;
  }
}

TYPED_TEST(CudaAttentionWide, LargeScoresDoNotOverflow) {
  RandomValues random(3);
  for (const float scale : {30.0F, -30.0F}) {
    Case<TypeParam> test({1, 1, 3, 70, 272}, random);
    test.arguments.scale = scale;
    for (auto* values : {&test.q.values(), &test.k.values()}) {
      for (TypeParam& value : *values) value = cuda::from_float<TypeParam>(1.0F + std::abs(cuda::to_float(value)));
    }
    // The tolerance is large because scores of tens of thousands in float32 are wrong by hundredths.
    EXPECT_LT(relative_difference(floats(test.run()), expected_of(test)), 3e-2);
  }
}

TYPED_TEST(CudaAttentionWide, TheMeanOfEqualValuesIsThatValue) {
  constexpr int kWidth = 264;
  constexpr int kKeys = 40;
  RandomValues random(7);
  Case<TypeParam> test({1, 1, 33, kKeys, kWidth}, random);
  // All weights but one are rounded in the same direction, and no rounding of the result hides that.
  for (int key = 2; key < kKeys; ++key) {
    for (int c = 0; c < kWidth; ++c) test.k.values()[test.k.index(0, key, c)] = test.k.values()[test.k.index(0, 1, c)];
  }
  for (TypeParam& value : test.v.values()) value = cuda::from_float<TypeParam>(1.0F);
  const std::vector<float> result = floats(test.run());
  for (int query = 0; query < 33; ++query) {
    for (int c = 0; c < kWidth; ++c) EXPECT_EQ(result[test.out.index(0, query, c)], 1.0F) << query << ", " << c;
  }
}

TYPED_TEST(CudaAttentionWide, ASampleGetsTheSameBitsInEveryBatchAndOrder) {
  for (const AttentionShape& shape : {AttentionShape{3, 1, 17, 40, 264}, AttentionShape{3, 2, 5, 33, 512}}) {
    RandomValues random(4);
    Case<TypeParam> test(shape, random);
    const DeviceVector<TypeParam> together = test.run();
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      const DeviceVector<TypeParam> alone = test.run_one_by_one();
      EXPECT_EQ(std::memcmp(together.data(), alone.data(), together.size() * sizeof together[0]), 0);
    }
  }
}

TYPED_TEST(CudaAttentionWide, TakesWidthsThatNobodyElseHasTensorCoresFor) {
  RandomValues random(5);
  const auto takes = [&](int width, int unit) {
    return cuda::takes_attention_wide(AttentionCase<TypeParam>({1, 1, 1, 1, width}, random, unit).arguments);
  };
  for (const int width : {264, 272, 384, 504, 512}) EXPECT_TRUE(takes(width, 8)) << width;
  for (const int width : {8, 256, 257, 268, 520, 1024}) EXPECT_FALSE(takes(width, 8)) << width;

  const Case<TypeParam> aligned({1, 1, 1, 1, 512}, random);
  for (int map = 0; map < 4; ++map) {
    cuda::AttentionArguments<TypeParam> a = aligned.arguments;
    if (map == 3) {
      ++a.out.data;
    } else {
      ++(map == 0 ? a.q : map == 1 ? a.k : a.v).data;
    }
    EXPECT_FALSE(cuda::takes_attention_wide(a)) << map;
  }
}

TYPED_TEST(CudaAttentionWide, MapsThatNoVectorFitsGoAnotherWay) {
  RandomValues random(6);
  AttentionCase<TypeParam> test({1, 1, 3, 9, 512}, random, 8);
  ++test.arguments.k.data;
  EXPECT_LE(worst_error(test.run(), reference_of(test)), 1);
}

#if defined(DPM_CUDA_EMULATION)
TYPED_TEST(CudaAttentionWide, AMissingBarrierWouldShow) {
  for (std::uint32_t seed = 0; seed < kShapes; ++seed) {
    Case<TypeParam> test(seed);
    // A single key has all the weight, whatever its score is.
    if (test.arguments.key_tokens == 1) continue;
    const AttentionReference expected = reference_of(test);
    const WithoutBarriers broken;
    EXPECT_GT(worst_error(test.run(), expected), 1) << "shape " << seed;
  }
}
#endif

}  // namespace
}  // namespace dpm::test
