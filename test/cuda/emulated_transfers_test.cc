// Test of copies of elements from the emulated GPU.
#include "cuda_device.h"
#include "random_values.h"

namespace dpm::test {
namespace {

class Transfers : public CudaDevice {
 protected:
  static std::vector<float> floats_of(const Transfer& transfer, std::size_t count) {
    const auto* values = static_cast<const float*>(transfer.values());
    return {values, values + count};
  }

  RandomValues random_{1};
};

TEST_F(Transfers, BringWhatWasThereWhenTheyBegan) {
  const std::vector<float> first = random_.normals(12);
  const std::vector<float> second = random_.normals(12);
  const auto buffer = device_->allocate(12 * sizeof(float));
  buffer->upload(0, first.data(), 12 * sizeof(float));
  const Transfer floats(device_, *buffer, 4, 6, false);
  const Transfer levels(device_, *buffer, 4, 6, true);
  EXPECT_GT(emulation().queued(), 0u);
  buffer->upload(0, second.data(), 12 * sizeof(float));
  const Transfer later(device_, *buffer, 0, 12, false);
  EXPECT_EQ(floats_of(floats, 6), std::vector<float>(first.begin() + 4, first.begin() + 10));
  EXPECT_EQ(floats_of(later, 12), second);
  buffer->upload(0, first.data(), 12 * sizeof(float));
  std::vector<std::uint8_t> expected(6);
  buffer->download_levels(4, expected.data(), 6);
  const auto* values = static_cast<const std::uint8_t*>(levels.values());
  EXPECT_EQ(std::vector<std::uint8_t>(values, values + 6), expected);
}

TEST_F(Transfers, UseTheMemoryOfThoseThatHaveEnded) {
  const std::vector<float> first = random_.normals(8);
  const std::vector<float> second = random_.normals(8);
  const auto buffer = device_->allocate(8 * sizeof(float));
  buffer->upload(0, first.data(), 8 * sizeof(float));
  {
    // The transfers end before the copies are done, the large one first.
    const Transfer small(device_, *buffer, 0, 2, false);
    const Transfer large(device_, *buffer, 0, 8, false);
  }
  emulation().reset_counters();
  buffer->upload(0, second.data(), 8 * sizeof(float));
  {
    const Transfer small(device_, *buffer, 0, 2, false);
    const Transfer large(device_, *buffer, 0, 8, false);
    EXPECT_EQ(emulation().counters().allocations, 0u);
    EXPECT_EQ(floats_of(small, 2), std::vector<float>(second.begin(), second.begin() + 2));
    EXPECT_EQ(floats_of(large, 8), second);
    const Transfer another(device_, *buffer, 0, 8, false);
    EXPECT_EQ(emulation().counters().allocations, 1u);
  }
  EXPECT_EQ(code_of([&] { Transfer(device_, *buffer, 4, 5, false); }), ErrorCode::kArgument);
}

TEST_F(Transfers, TellWhatWentWrongOnTheCard) {
  const auto buffer = device_->allocate(8 * sizeof(float));
  const Transfer transfer(device_, *buffer, 0, 8, false);
  emulation().break_device(cudaErrorIllegalAddress, 0);
  EXPECT_EQ(code_of([&] { (void)transfer.values(); }), ErrorCode::kDevice);
  emulation().repair_device();
}

}  // namespace
}  // namespace dpm::test
