// Test of the emulated device without free memory, and of the amount of released memory that it keeps.
#include <memory>
#include <vector>

#include "emulated_cuda.h"

namespace dpm::test {
namespace {

TEST_F(EmulatedCuda, OutOfMemoryIsAnErrorThatPasses) {
  const Repaired repaired;
  const auto network = small_.load("cuda:0");
  const std::vector<float> expected = images(*network, uniform_request(2, 2));
  emulation().limit_memory(network->device().memory().device + 100000);
  EXPECT_EQ(code_of([&] { images(*network, uniform_request(200, 200)); }), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code_of([&] { network->device().allocate(1 << 20); }), ErrorCode::kOutOfMemory);
  emulation().limit_memory(kCardMemory);
  EXPECT_EQ(images(*network, uniform_request(2, 2)), expected);
}

TEST_F(EmulatedCuda, ABatchThatDoesNotFitLeavesNoneReserved) {
  const Repaired repaired;
  const auto network = small_.load("cuda:0");
  const std::vector<float> expected = images(*network, uniform_request(1, 1));
  EXPECT_EQ(code_of([&] { network->reserve(1 << 24); }), ErrorCode::kOutOfMemory);
  EXPECT_EQ(images(*network, uniform_request(1, 1)), expected);
}

TEST_F(EmulatedCuda, ABatchThatDoesNotFitLeavesTheFormerOneReserved) {
  const Repaired repaired;
  const auto network = small_.load("cuda:0");
  network->reserve(8);
  EXPECT_EQ(code_of([&] { network->reserve(1 << 24); }), ErrorCode::kOutOfMemory);
  // Without a reservation nothing is known of rows that pad a batch.
  EXPECT_EQ(network->padded(5), 6U);
}

TEST_F(EmulatedCuda, KeptMemoryIsGivenUpBeforeMemoryRunsOut) {
  const Repaired repaired;
  constexpr std::uint64_t kBytes = 1 << 20;
  const auto device = open(DType::kFloat32);
  {
    const auto kept = device->allocate(kBytes);
  }
  EXPECT_EQ(device->memory().device, kBytes);
  emulation().limit_memory(device_->memory().device + kBytes + kBytes / 2);
  EXPECT_NO_THROW(device->allocate(kBytes + kBytes / 4));
}

TEST_F(EmulatedCuda, KeptMemoryIsAtMostAnEighthOfTheCard) {
  const Repaired repaired;
  constexpr std::uint64_t kBytes = 1 << 16;
  const auto device = open_on_card_of(8 * 3 * kBytes);
  {
    std::vector<std::shared_ptr<Buffer>> buffers(5);
    std::uint64_t bytes = kBytes;
    for (std::shared_ptr<Buffer>& buffer : buffers) {
      buffer = device->allocate(bytes);
      bytes += 256;
    }
    // The last buffer is released first, and is the longest kept.
    while (!buffers.empty()) buffers.pop_back();
  }
  // A release by another thread frees nothing, because that would wait for the GPU.
  EXPECT_GT(device->memory().device, 5 * kBytes);
  (void)device->allocate(256);
  EXPECT_LE(device->memory().device, 3 * kBytes + 256);
  // Memory that is taken and released repeatedly counts once.
  for (int i = 0; i < 10; ++i) (void)device->allocate(kBytes);
  (void)device->allocate(512);
  const simt::Counters counters = counted([&] { (void)device->allocate(kBytes); });
  EXPECT_EQ(counters.allocations, 0U);
}

TEST_F(EmulatedCuda, KeptMemoryIsGivenBackWhenItIsAskedFor) {
  const auto device = open(DType::kFloat32);
  Network network(device, small_.graph(), SmallNetwork::options());
  const std::vector<float> expected = images(network, uniform_request(2, 2));
  const std::uint64_t kept = device->memory().device;
  device->trim();
  EXPECT_LT(device->memory().device, kept);
  EXPECT_EQ(images(network, uniform_request(2, 2)), expected);
  const std::uint64_t again = device->memory().device;
  device->trim();
  EXPECT_LT(device->memory().device, again);
}

TEST_F(EmulatedCuda, KeptMemoryIsCountedAnewAfterItWasGivenBack) {
  const Repaired repaired;
  constexpr std::uint64_t kBytes = 1 << 16;
  const auto device = open_on_card_of(8 * 3 * kBytes);
  const auto take_two = [&] {
    const auto first = device->allocate(kBytes);
    const auto second = device->allocate(kBytes);
  };
  take_two();
  device->trim();
  take_two();
  // This allocation frees what is kept beyond the limit.
  (void)device->allocate(256);
  EXPECT_EQ(counted(take_two).allocations, 0U);
}

TEST_F(EmulatedCuda, ADeviceThatKeepsNothingIsTrimmedWithoutHarm) {
  EXPECT_EQ(code_of([] { Device::open("reference", {})->trim(); }), ErrorCode::kOk);
}

}  // namespace
}  // namespace dpm::test
