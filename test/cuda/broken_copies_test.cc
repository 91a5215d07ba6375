// Test of broken copies of kernels, made by CMakeLists.txt: each fault must show in the numbers that the tests of
// kernels compare. (A missing barrier is tested beside each kernel, where barriers can be switched off.)
#include <gtest/gtest.h>

#define cuda broken
#include "cuda/kernels/state.h"
#include "cuda/kernels/update.h"
#undef cuda

#include "device_vector.h"
#include "emulation.h"

namespace dpm::test {
namespace {

constexpr std::uint8_t kUntouched = 77;

TEST(BrokenCopies, ALevelWrittenPastTheEndShows) {
  const DeviceVector<float> values(5, 0.0F);
  DeviceVector<std::uint8_t> levels(8, kUntouched);
  broken::convert_to_levels(values.data(), levels.data(), values.size(), nullptr);
  synchronize();
  EXPECT_EQ(levels[4], 128);
  EXPECT_NE(levels[5], kUntouched);
}

TEST(BrokenCopies, AnUpdateThatLeavesItsTailShows) {
  constexpr std::uint64_t kElements = 7;
  DeviceVector<float> x(kElements, 1.0F);
  DeviceVector<broken::UpdateSample> samples(1);
  samples[0].record.flags = DPM_RECORD_WRITE_X;
  samples[0].record.x_x = 2.0F;
  broken::UpdateArguments arguments{};
  arguments.batch = 1;
  arguments.elements = kElements;
  arguments.samples = samples.data();
  arguments.x = {x.data(), kElements};
  broken::update(arguments, nullptr);
  synchronize();
  EXPECT_EQ(x[3], 2.0F);
  EXPECT_NE(x[kElements - 1], 2.0F);
}

}  // namespace
}  // namespace dpm::test
