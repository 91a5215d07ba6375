// Test of taps that are rounded so that their errors cancel.
#include "devices/cpu/bf16/round_together.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace dpm::cpu {
namespace {

struct Errors {
  double squares = 0;
  double sum = 0;
};

Errors errors_of(const std::vector<float>& taps, const std::vector<std::uint16_t>& bits) {
  Errors errors;
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const double error = static_cast<double>(bfloat16_to_float(bits[i])) - static_cast<double>(taps[i]);
    errors.squares += error * error;
    errors.sum += error;
  }
  return errors;
}

std::vector<std::uint16_t> rounded(const std::vector<float>& taps) {
  std::vector<std::uint16_t> bits(taps.size());
  round_together(taps.data(), static_cast<int>(taps.size()), bits.data());
  return bits;
}

std::vector<std::uint16_t> nearest(const std::vector<float>& taps) {
  std::vector<std::uint16_t> bits;
  bits.reserve(taps.size());
  for (const float tap : taps) bits.push_back(float_to_bfloat16(tap));
  return bits;
}

TEST(RoundTogether, TakesOneOfTheTwoNeighbours) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int run = 0; run < 2000; ++run) {
    std::vector<float> taps(static_cast<std::size_t>(1 + run % kMostTaps));
    for (float& tap : taps) tap = std::ldexp(normal(random), run % 9 - 4);
    const auto bits = rounded(taps);
    for (std::size_t i = 0; i < taps.size(); ++i) {
      const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(taps[i]) >> 16);
      EXPECT_LE(bits[i] - below, 1) << taps[i];
      EXPECT_GE(bits[i] - below, 0) << taps[i];
    }
  }
}

TEST(RoundTogether, LeavesAFractionOfTheSumThatRoundingEachLeaves) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  Errors together;
  Errors each;
  for (int run = 0; run < 2000; ++run) {
    std::vector<float> taps(9);
    for (float& tap : taps) tap = normal(random);
    const Errors ours = errors_of(taps, rounded(taps));
    const Errors theirs = errors_of(taps, nearest(taps));
    EXPECT_LE(ours.squares + 4 * ours.sum * ours.sum, theirs.squares + 4 * theirs.sum * theirs.sum + 1e-12);
    together.squares += ours.squares;
    together.sum += ours.sum * ours.sum;
    each.squares += theirs.squares;
    each.sum += theirs.sum * theirs.sum;
  }
  EXPECT_LT(together.sum, 0.05 * each.sum);
  EXPECT_LT(together.squares, 1.5 * each.squares);
}

TEST(RoundTogether, LeavesWhatIsExactAndWhatIsNoNumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> exact{1.0F, -0.5F, 0.0F, -0.0F, 3.0F, 1.0F + 0x1p-9F};
  const auto bits = rounded(exact);
  for (std::size_t i = 0; i + 1 < exact.size(); ++i) EXPECT_EQ(bits[i], float_to_bfloat16(exact[i]));
  EXPECT_EQ(rounded({infinity, 1.0F + 0x1p-9F, -infinity})[0], float_to_bfloat16(infinity));
  EXPECT_TRUE(std::isnan(bfloat16_to_float(rounded({std::nanf(""), 1.0F})[0])));
}

// Both taps are two fifths of a step above a bfloat16 number.
TEST(RoundTogether, RoundsOneOfTwoUpThatWouldBothGoDown) {
  const float step = 0x1p-7F;
  const std::vector<float> taps{1 + 0.4F * step, 1 + 0.4F * step};
  const auto bits = rounded(taps);
  EXPECT_FLOAT_EQ(bfloat16_to_float(bits[0]) + bfloat16_to_float(bits[1]), 2 + step);
  EXPECT_EQ(rounded({-taps[0], -taps[1]}), (std::vector<std::uint16_t>{static_cast<std::uint16_t>(bits[0] | 0x8000U),
                                                                       static_cast<std::uint16_t>(bits[1] | 0x8000U)}));
}

}  // namespace
}  // namespace dpm::cpu
