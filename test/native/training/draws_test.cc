// Test of the draws of training runs, against those of another implementation of Philox and of the order of epochs.
#include "training/draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/philox.h"
#include "training/level_sampler.h"

namespace dpm::training {
namespace {

TEST(EpochOrder, IsThatOfTheGoldens) {
  struct Golden {
    std::uint64_t seed;
    std::uint64_t count;
    std::uint32_t epoch;
    std::vector<std::uint64_t> order;
  };
  const Golden goldens[] = {
      {7U, 1, 0, {0}},
      {7U, 1, 1, {0}},
      {7U, 10, 0, {3, 1, 9, 0, 5, 7, 2, 8, 6, 4}},
      {7U, 10, 1, {8, 4, 0, 6, 2, 3, 5, 1, 7, 9}},
      {7U, 257, 0, {163, 115, 132, 10, 125, 22, 251, 95, 210, 43, 91, 179}},
      {7U, 257, 1, {205, 43, 36, 35, 140, 100, 98, 181, 188, 102, 154, 143}},
      {7U, 60000, 0, {32905, 29064, 10338, 53341, 34655, 33468, 56374, 33560, 19163, 15452, 39212, 21801}},
      {7U, 60000, 1, {23627, 22226, 51276, 25659, 21462, 13811, 54099, 15028, 40594, 49149, 4612, 29735}},
      {1099511627779U, 10, 0, {5, 7, 2, 8, 4, 1, 3, 9, 6, 0}},
      {1099511627779U, 10, 1, {3, 8, 4, 0, 6, 9, 1, 5, 2, 7}},
      {1099511627779U, 257, 0, {226, 233, 3, 241, 42, 111, 11, 197, 227, 46, 148, 199}},
      {1099511627779U, 257, 1, {234, 87, 245, 110, 48, 14, 160, 58, 133, 38, 10, 1}},
      {1099511627779U, 60000, 0, {10409, 49200, 59478, 26267, 32078, 38016, 50155, 52942, 12017, 35698, 36521, 53030}},
      {1099511627779U, 60000, 1, {59666, 34491, 16243, 13009, 22590, 57211, 7964, 49140, 54620, 6346, 13177, 1731}},
  };
  for (const Golden& golden : goldens) {
    for (std::size_t position = 0; position < golden.order.size(); ++position) {
      EXPECT_EQ(image_at(Seed::of(golden.seed), golden.count, golden.epoch, position), golden.order[position])
          << golden.seed << ", " << golden.count;
    }
  }
}

TEST(EpochOrder, HasEveryImageOnce) {
  for (const std::uint64_t count : {1U, 2U, 3U, 4U, 5U, 16U, 17U, 1000U}) {
    std::vector<int> seen(count, 0);
    for (std::uint64_t position = 0; position < count; ++position) {
      const std::uint64_t image = image_at(Seed::of(42), count, 3, position);
      ASSERT_LT(image, count);
      ++seen[image];
    }
    EXPECT_EQ(seen, std::vector<int>(count, 1)) << count;
  }
}

TEST(SampleDraws, AreThoseOfTheGoldens) {
  struct Golden {
    std::uint64_t seed;
    std::uint32_t step;
    std::uint32_t slot;
    std::uint32_t level;
    bool flips;
  };
  const Golden goldens[] = {
      {7U, 0, 0, 839, false},
      {7U, 0, 1, 533, true},
      {7U, 12345, 127, 811, true},
      {1099511627779U, 0, 0, 386, true},
      {1099511627779U, 0, 1, 142, true},
      {1099511627779U, 12345, 127, 746, false},
  };
  for (const Golden& golden : goldens) {
    const SampleDraw draw = draw_sample(Seed::of(golden.seed), golden.step, golden.slot);
    EXPECT_EQ(LevelSampler(LevelSampling::kUniform, 1000).draw(draw.word).level, golden.level);
    EXPECT_EQ(draw.flips, golden.flips);
  }
}

TEST(SampleDraws, SayWhereTheWindowIsByTheLastWord) {
  const PhiloxWords words = philox4x32(0, 12345, 127, 1, 7, 0);
  const SampleDraw draw = draw_sample(Seed::of(7), 12345, 127);
  EXPECT_EQ(draw.top, words.word[3] >> 16);
  EXPECT_EQ(draw.left, words.word[3] & 0xFFFF);
}

TEST(SampleDraws, AreSpreadEvenly) {
  constexpr std::uint32_t kCount = 20000;
  constexpr std::uint32_t kLevels = 4;
  const LevelSampler sampler(LevelSampling::kUniform, kLevels);
  std::vector<int> levels(kLevels, 0);
  int flips = 0;
  double sum = 0;
  for (std::uint32_t step = 0; step < kCount; ++step) {
    const SampleDraw draw = draw_sample(Seed::of(5), step, 1);
    ++levels[sampler.draw(draw.word).level - 1];
    flips += draw.flips ? 1 : 0;
    ASSERT_TRUE(draw.uniform >= 0 && draw.uniform < 1);
    sum += draw.uniform;
  }
  // Four standard errors.
  for (const int level : levels) EXPECT_NEAR(level, kCount * 0.25, 4 * 62);
  EXPECT_NEAR(flips, kCount * 0.5, 4 * 71);
  EXPECT_NEAR(sum / kCount, 0.5, 4 * 0.289 / 141);
}

TEST(Signs, AreThoseOfTheGoldens) {
  struct Golden {
    std::uint64_t seed;
    std::uint32_t step;
    std::uint32_t slot;
    std::vector<float> signs;
  };
  const Golden goldens[] = {
      {7U, 0, 0, {-1, -1, -1, 1, -1, -1, 1, 1, -1, -1, -1, -1}},
      {7U, 0, 1, {1, 1, -1, 1, 1, -1, -1, -1, -1, -1, -1, 1}},
      {7U, 12345, 127, {-1, 1, -1, 1, -1, 1, 1, 1, 1, -1, -1, -1}},
      {1099511627779U, 0, 0, {1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1, -1}},
      {1099511627779U, 0, 1, {1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1}},
      {1099511627779U, 12345, 127, {1, 1, -1, 1, 1, -1, 1, 1, 1, 1, 1, -1}},
  };
  for (const Golden& golden : goldens) {
    std::vector<float> signs(golden.signs.size());
    draw_signs(Seed::of(golden.seed), golden.step, golden.slot, signs.size(), signs.data());
    EXPECT_EQ(signs, golden.signs) << golden.seed << ", " << golden.step << ", " << golden.slot;
  }
}

TEST(Signs, GoOnFromBlockToBlock) {
  std::vector<float> all(300);
  draw_signs(Seed::of(9), 4, 2, all.size(), all.data());
  std::vector<float> part(129);
  draw_signs(Seed::of(9), 4, 2, part.size(), part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
  EXPECT_NE(std::vector<float>(all.begin(), all.begin() + 32), std::vector<float>(all.begin() + 32, all.begin() + 64));
  EXPECT_NE(std::vector<float>(all.begin(), all.begin() + 128),
            std::vector<float>(all.begin() + 128, all.begin() + 256));
  const auto ups = std::count(all.begin(), all.end(), 1.0F);
  EXPECT_GT(ups, 110);
  EXPECT_LT(ups, 190);
  EXPECT_EQ(ups + std::count(all.begin(), all.end(), -1.0F), 300);
}

}  // namespace
}  // namespace dpm::training
