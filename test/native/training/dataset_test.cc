#include "training/dataset.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "training/draws.h"
#include "training/samples.h"

namespace dpm::training {
namespace {

TrainerOptions options_of(std::size_t levels) {
  TrainerOptions options;
  options.seed = 1099511627779;
  options.levels.resize(levels);
  return options;
}

const LevelSampler kEven(LevelSampling::kUniform, 10);

std::vector<float> read(const Dataset& dataset, std::uint64_t index, const View& view) {
  std::vector<float> image(dataset.elements());
  dataset.read(index, view, image.data());
  return image;
}

TEST(Images, AreMirroredRowByRow) {
  Dataset dataset;
  dataset.channels = 2;
  dataset.height = 1;
  dataset.width = 3;
  dataset.levels = {0, 255, 0, 0, 0, 255};
  EXPECT_EQ(read(dataset, 0, {}), (std::vector<float>{-1, 1, -1, -1, -1, 1}));
  EXPECT_EQ(read(dataset, 0, {.flips = true}), (std::vector<float>{-1, 1, -1, 1, -1, -1}));
}

TEST(Images, AreSeenThroughAWindow) {
  Dataset dataset;
  dataset.channels = 2;
  dataset.height = 2;
  dataset.width = 1;
  dataset.margin = 2;
  ASSERT_EQ(dataset.stored(), 24U);
  for (int i = 0; i < 48; ++i) dataset.values.push_back(static_cast<float>(i));
  EXPECT_EQ(dataset.count(), 2U);
  EXPECT_EQ(read(dataset, 1, {}), (std::vector<float>{24, 27, 36, 39}));
  EXPECT_EQ(read(dataset, 1, {.top = 2, .left = 1}), (std::vector<float>{31, 34, 43, 46}));
  dataset.width = 2;
  dataset.margin = 1;
  dataset.channels = 1;
  EXPECT_EQ(read(dataset, 0, {.flips = true, .top = 1, .left = 0}), (std::vector<float>{4, 3, 7, 6}));
}

TEST(Windows, StandEverywhereAlikeAndWhereTheirDrawSays) {
  const TrainerOptions options = options_of(3);
  Dataset dataset;
  dataset.channels = dataset.height = dataset.width = 1;
  dataset.margin = 2;
  for (int i = 0; i < 9; ++i) dataset.values.push_back(static_cast<float>(i));
  std::array<int, 9> places{};
  Samples samples;
  constexpr std::uint32_t kSteps = 9000;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    draw_samples(options, dataset, kEven, step, 2, samples);
    const SampleDraw draw = draw_sample(Seed::of(options.seed), step, 2);
    const int place = draw.top * 3 / 0x10000 * 3 + draw.left * 3 / 0x10000;
    ASSERT_EQ(samples.images[0], static_cast<float>(place));
    ++places[static_cast<std::size_t>(samples.images[0])];
  }
  // Four standard errors.
  for (const int count : places) EXPECT_NEAR(count, kSteps / 9.0, 4 * 30);
}

TEST(Labels, AreDroppedWithTheirProbability) {
  TrainerOptions options = options_of(10);
  options.label_dropout = 0.25;
  options.null_label = 7;
  Dataset dataset;
  dataset.channels = dataset.height = dataset.width = 1;
  dataset.values = {0, 1, 2};
  dataset.labels = {0, 1, 2};
  Samples samples;
  int dropped = 0;
  constexpr std::uint32_t kSteps = 4000;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    draw_samples(options, dataset, kEven, step, 0, samples);
    if (samples.labels[0] == 7) ++dropped;
  }
  // Four standard errors.
  EXPECT_NEAR(dropped, kSteps * 0.25, 4 * 28);
}

}  // namespace
}  // namespace dpm::training
