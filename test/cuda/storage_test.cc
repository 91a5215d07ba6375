#include "cuda/kernels/storage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dpm::cuda {
namespace {

constexpr float kLargest = 65504.0F;

TEST(Storage, HalvesAreFinite) {
  for (const float value : {65504.0F, 65519.0F, 65520.0F, 1e6F, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(to_float(from_float<Half>(value)), kLargest) << value;
    EXPECT_EQ(to_float(from_float<Half>(-value)), -kLargest) << value;
  }
  EXPECT_EQ(to_float(from_float<Half>(65472.0F)), 65472.0F);
  EXPECT_TRUE(std::isnan(to_float(from_float<Half>(std::nanf("")))));
}

TEST(Storage, WiderRangesKeepInfinities) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_float(from_float<Bfloat16>(infinity)), infinity);
  EXPECT_EQ(to_float(from_float<float>(-infinity)), -infinity);
  EXPECT_TRUE(std::isnan(to_float(from_float<Bfloat16>(std::nanf("")))));
}

}  // namespace
}  // namespace dpm::cuda
