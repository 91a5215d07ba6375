// Test of the device's switches and of its statistics.
#include "cuda_device.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

class EmulatedSwitches : public CudaDevice {
 protected:
  std::vector<float> images(Network& network) {
    return run_programs(network, uniform_request(3, 3), running_).images.floats;
  }
  std::vector<float> warm_images(Network& network) {
    for (int i = 0; i < 3; ++i) images(network);
    emulation().reset_counters();
    return images(network);
  }

  static dpm_statistics counted(Network& network) {
    return network.device().statistics().value_or(dpm_statistics{99, 99, 0, 0, 0, 0});
  }

  SmallNetwork small_;
  std::atomic<bool> running_{false};
};

TEST_F(EmulatedSwitches, WithoutGraphsNothingIsCapturedAndNothingElseChanges) {
  const std::vector<float> expected = warm_images(*small_.load("cuda:0"));
  for (const auto& [name, value] : {std::pair{"DPM_CUDA_GRAPHS", "off"}, {"DPM_CUDA_SYNC", "1"}}) {
    const ScopedEnvironment chosen(name, value);
    const auto network = small_.load("cuda:0");
    EXPECT_EQ(warm_images(*network), expected) << name;
    EXPECT_EQ(emulation().counters().graph_launches, 0U) << name;
    EXPECT_EQ(counted(*network).captured_graphs, 0U) << name;
  }
}

TEST_F(EmulatedSwitches, SynchronisingWaitsForEveryLayerAndNamesTheOneThatFails) {
  const ScopedEnvironment chosen("DPM_CUDA_SYNC", "1");
  const auto network = small_.load("cuda:0");
  warm_images(*network);
  EXPECT_GT(emulation().counters().synchronisations, 100U);
  emulation().break_device(cudaErrorIllegalAddress, 60);
  std::string message;
  try {
    images(*network);
  } catch (const Error& error) {
    message = error.what();
  }
  emulation().repair_device();
  EXPECT_NE(message.find(": CUDA: "), std::string::npos) << message;
  EXPECT_NE(message.find("cudaErrorIllegalAddress"), std::string::npos) << message;
}

TEST_F(EmulatedSwitches, WithoutTheLibraryOurOwnKernelsDoEverything) {
  const std::vector<float> expected = images(*small_.load("reference"));
  for (const char* name : {"DPM_CUDNN", "DPM_CUDNN_ATTENTION"}) {
    const ScopedEnvironment chosen(name, "off");
    EXPECT_LT(relative_difference(images(*small_.load("cuda:0")), expected), 2e-4) << name;
  }
  const ScopedEnvironment off("DPM_CUDNN", "off");
  EXPECT_NE(Device::open("cuda:0", {})->description().find("none"), std::string::npos);
}

TEST_F(EmulatedSwitches, ASwitchThatMeansNothingIsRefusedWhereADeviceIsOpened) {
  const ScopedEnvironment wrong("DPM_CUDA_GRAPHS", "sometimes");
  try {
    Device::open("cuda:0", {});
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("DPM_CUDA_GRAPHS is 'sometimes'"), std::string::npos) << error.what();
  }
}

TEST_F(EmulatedSwitches, StatisticsCountCapturesAndThoseThatFail) {
  const auto network = small_.load("cuda:0");
  EXPECT_EQ(counted(*network).captured_graphs, 0U);
  emulation().invalidate_captures(2);
  for (int i = 0; i < 4; ++i) images(*network);
  const dpm_statistics now = counted(*network);
  EXPECT_EQ(now.failed_captures, 2U);
  EXPECT_GT(now.captured_graphs, 0U);
  EXPECT_FALSE(Device::open("cpu", {})->statistics().has_value());
}

TEST_F(EmulatedSwitches, ACaptureThatFailsThreeTimesIsNotTriedAgain) {
  const auto network = small_.load("cuda:0");
  constexpr int kRuns = 10;
  emulation().invalidate_captures(1 << 20);
  images(*network);
  const std::uint64_t once = counted(*network).failed_captures;
  for (int i = 1; i < kRuns; ++i) images(*network);
  emulation().invalidate_captures(0);
  EXPECT_GT(once, 0U);
  EXPECT_LT(counted(*network).failed_captures, once * kRuns / 2);
}

}  // namespace
}  // namespace dpm::test
