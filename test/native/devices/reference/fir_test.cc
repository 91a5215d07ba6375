// Test of the reference device's FIR resampling against numbers found by hand, because all devices are compared with
// it.
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using Values = std::vector<float>;

/// Runs `op` on a map of `channels`.
Values resampled(dpm_op op, int channels, int height, int width, const Values& image, int padding = 1) {
  RandomValues none(0);
  GraphMaker maker(none);
  const int x = maker.image(channels, height, width);
  const bool is_down = op == DPM_OP_FIR_DOWNSAMPLE;
  maker.output(is_down ? maker.add(op, {x}, graph::FirDownsample{padding}) : maker.add(op, {x}));
  return run_graph(Device::open("reference", {}), maker.graph(), 1, {image, {}, {}}, false);
}

Values outer(const Values& column, const Values& row, float divisor) {
  Values result;
  for (const float a : column) {
    for (const float b : row) result.push_back(a * b / divisor);
  }
  return result;
}

Values impulse(int height, int width, int y, int x) {
  Values column(static_cast<std::size_t>(height));
  Values row(static_cast<std::size_t>(width));
  column[static_cast<std::size_t>(y)] = row[static_cast<std::size_t>(x)] = 1;
  return outer(column, row, 1);
}

TEST(Fir, UpsamplingSpreadsAnElementOverFour) {
  EXPECT_EQ(resampled(DPM_OP_FIR_UPSAMPLE, 1, 3, 4, impulse(3, 4, 1, 2)),
            outer({0, 1, 3, 3, 1, 0}, {0, 0, 0, 1, 3, 3, 1, 0}, 16));
  // Elements outside the result are lost.
  EXPECT_EQ(resampled(DPM_OP_FIR_UPSAMPLE, 1, 2, 2, impulse(2, 2, 0, 1)), outer({3, 3, 1, 0}, {0, 1, 3, 3}, 16));
}

TEST(Fir, DownsamplingTakesAnElementIntoTwo) {
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 6, 6, impulse(6, 6, 2, 3)), outer({1, 3, 0}, {0, 3, 1}, 64));
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 4, 6, impulse(4, 6, 0, 5)), outer({3, 0}, {0, 0, 3}, 64));
}

TEST(Fir, DownsamplingWithoutPaddingLosesAnElement) {
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 6, 6, impulse(6, 6, 2, 3), 0), outer({3, 1}, {1, 3}, 64));
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 4, 6, impulse(4, 6, 0, 5), 0), outer({1}, {0, 1}, 64));
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 6, 8, Values(48, 64), 0), Values(6, 64));
  EXPECT_THROW(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 2, 8, Values(16), 0), Error);
  EXPECT_THROW(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 6, 8, Values(48), 2), Error);
}

TEST(Fir, SumsOfNeighboursAndZerosOutside) {
  // The values along the row are (3 a)/4, (3 a + b)/4, (a + 3 b)/4, (3 b)/4; along the column 3/4 of these.
  const Values enlarged = {4.5, 7.5, 10.5, 9};
  Values twice = enlarged;
  twice.insert(twice.end(), enlarged.begin(), enlarged.end());
  EXPECT_EQ(resampled(DPM_OP_FIR_UPSAMPLE, 1, 1, 2, {8, 16}), twice);
  // The values along the row are (3 a + 3 b + c)/8 and (b + 3 c + 3 d)/8 = 12 and 23, along the column 3/8 of each row.
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 2, 4, {8, 16, 24, 32, 16, 32, 48, 64}), (Values{13.5, 25.875}));
}

TEST(Fir, ConstantsStayWhereNothingIsOutside) {
  EXPECT_EQ(resampled(DPM_OP_FIR_UPSAMPLE, 1, 3, 4, Values(12, 16)),
            outer({3, 4, 4, 4, 4, 3}, {3, 4, 4, 4, 4, 4, 4, 3}, 1));
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 1, 6, 8, Values(48, 64)), outer({7, 8, 7}, {7, 8, 8, 7}, 1));
}

TEST(Fir, ChannelsStayApart) {
  EXPECT_EQ(resampled(DPM_OP_FIR_UPSAMPLE, 2, 1, 1, {16, -32}), (Values{9, 9, 9, 9, -18, -18, -18, -18}));
  EXPECT_EQ(resampled(DPM_OP_FIR_DOWNSAMPLE, 2, 2, 2, {16, 0, 0, 0, 0, 0, 0, -64}), (Values{2.25, -9}));
}

}  // namespace
}  // namespace dpm::test
