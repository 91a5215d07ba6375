// Test of the noise of long programs: every record of every sample has its own part of the sample's stream.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "core/philox.h"
#include "graph_runner.h"
#include "sampling/run.h"
#include "small_network.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kElements = SmallNetwork::kElements;

/// Computes Box and Muller's formula in double.
void append_normals(std::uint32_t word0, std::uint32_t word1, std::vector<float>& values) {
  const double radius = std::sqrt(-2 * std::log((word0 + 0.5) * 0x1p-32));
  const double angle = 2 * std::numbers::pi * (word1 + 0.5) * 0x1p-32;
  values.push_back(static_cast<float>(radius * std::cos(angle)));
  values.push_back(static_cast<float>(radius * std::sin(angle)));
}

/// Returns the noise that a record adds to every sample.
std::vector<float> noise_of(const std::vector<SampleIdentity>& samples, std::uint32_t record) {
  std::vector<float> values;
  for (const SampleIdentity& sample : samples) {
    for (std::uint32_t quad = 0; quad < kElements / 4; ++quad) {
      const PhiloxWords words = philox4x32(quad, record, sample.index, 0, sample.seed_low, sample.seed_high);
      append_normals(words.word[0], words.word[1], values);
      append_normals(words.word[2], words.word[3], values);
    }
  }
  return values;
}

/// Makes `count` records that replace the state by noise, each of which is a snapshot.
RunRequest noisy_request(std::uint32_t count) {
  RunRequest request;
  dpm_record record{};
  record.flags = DPM_RECORD_WRITE_X;
  record.variance = DPM_VARIANCE_SCALAR;
  record.deviation = 1;
  request.records.assign(count, record);
  request.programs = {{0, count, 0, 1.0F}};
  for (const std::uint32_t index : {1u, 257u, 65537u}) request.samples.push_back({0, 5, 6, index, -1});
  request.samples.push_back({0, 5, 262, 1, -1});
  request.samples.push_back({0, 261, 6, 1, -1});
  request.batch = 3;
  request.snapshot_every = 1;
  return request;
}

TEST(Noise, OfManyRecordsIsPhiloxs) {
  constexpr std::uint32_t kRecords = 600;
  const RunRequest request = noisy_request(kRecords);
  const SmallNetwork small;
  const std::atomic<bool> running{false};
  for (const char* device : {"cpu", "reference", "cuda:0"}) {
    const RunResult result = run_programs(*small.load(device), request, running);
    ASSERT_EQ(result.snapshots.size(), kRecords);
    for (std::uint32_t record = 0; record < kRecords; ++record) {
      const std::vector<float>& found = result.snapshots[record].images.floats;
      ASSERT_LT(relative_difference(found, noise_of(request.samples, record)), 1e-5) << device << ", record " << record;
    }
  }
}

TEST(Noise, OfTheInitialStateIsNoRecords) {
  RunRequest request = noisy_request(1);
  dpm_record& kept = request.records.front();
  kept.variance = DPM_VARIANCE_NONE;
  kept.x_x = 1;
  const std::atomic<bool> running{false};
  const std::vector<float> found = run_programs(*SmallNetwork().load("cpu"), request, running).images.floats;
  EXPECT_LT(relative_difference(found, noise_of(request.samples, 0xFFFFFFFFU)), 1e-5);
}

}  // namespace
}  // namespace dpm::test
