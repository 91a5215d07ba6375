// Test that a network's batches do not affect one another, whatever came before them. $DPM_SEQUENCES=all tries every
// sequence of five sizes from every beginning; without it every sequence of three in a row comes from one of them.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "cuda_device.h"
#include "lone_request.h"
#include "sampling/run.h"
#include "sliced_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr std::array<std::uint32_t, 5> kSizes{1, 2, 3, 4, SlicedNetwork::kMostBatch};
constexpr std::size_t kLength = 5;
using Sequence = std::array<std::uint32_t, kLength>;
using Three = std::array<std::uint32_t, 3>;

std::vector<Sequence> all_sequences() {
  std::vector<Sequence> sequences;
  for (std::size_t number = 0; number < 3125; ++number) {
    Sequence& sequence = sequences.emplace_back();
    std::size_t left = number;
    for (std::uint32_t& size : sequence) {
      size = kSizes.at(left % kSizes.size());
      left /= kSizes.size();
    }
  }
  return sequences;
}

std::set<Three> threes_of(const Sequence& sequence) {
  std::set<Three> threes;
  for (std::size_t i = 0; i + 2 < kLength; ++i) threes.insert({sequence[i], sequence[i + 1], sequence[i + 2]});
  return threes;
}

/// Chooses those sequences that bring the most triples which those before them do not have.
std::vector<Sequence> spread(const std::vector<Sequence>& sequences) {
  std::vector<Sequence> chosen;
  std::set<Three> covered;
  for (std::size_t news = 3; news > 0; --news) {
    for (const Sequence& sequence : sequences) {
      const std::set<Three> threes = threes_of(sequence);
      const auto is_new = [&](const Three& three) { return covered.count(three) == 0; };
      if (static_cast<std::size_t>(std::count_if(threes.begin(), threes.end(), is_new)) < news) continue;
      covered.insert(threes.begin(), threes.end());
      chosen.push_back(sequence);
    }
  }
  return chosen;
}

/// Differences of a network before its first batch.
struct Beginning {
  MostScratch most;
  int reserved;
};
constexpr std::array<Beginning, 3> kBeginnings{{
    {MostScratch::kOfLargest, SlicedNetwork::kMostBatch},
    {MostScratch::kOfSmaller, SlicedNetwork::kMostBatch},
    {MostScratch::kOfLargest, 0},
}};

class CudaSequences : public CudaDevice {
 protected:
  /// Makes a request whose images differ at every place, because leftovers of equal images would be right.
  static RunRequest request(std::uint32_t samples, std::uint32_t place) {
    RunRequest request = short_request(samples, 1);
    for (SampleIdentity& sample : request.samples) sample.seed_low = place;
    return request;
  }

  /// Returns the results of a batch's steps, whose registers stay in place, or of whole trajectories of a network whose
  /// memory grows.
  [[nodiscard]] std::vector<std::vector<float>> results(const SlicedNetwork& sliced, int reserved,
                                                        std::span<const std::uint32_t> sizes,
                                                        std::uint32_t first_place = 0) const {
    std::vector<std::vector<float>> all;
    const std::shared_ptr<Network> network = sliced.load(reserved);
    std::optional<Batch> batch;
    if (reserved > 0) batch.emplace(std::make_unique<NetworkEvaluator>(network), batch_of_sliced());
    for (const std::uint32_t size : sizes) {
      const RunRequest own = request(size, first_place + static_cast<std::uint32_t>(all.size()));
      all.push_back(batch ? images_of(*batch, own) : run_programs(*network, own, running_).images.floats);
    }
    return all;
  }

  /// Returns the expected result of every size at every place, computed alone.
  [[nodiscard]] std::map<std::pair<std::size_t, std::uint32_t>, std::vector<float>> alone(const Beginning& beginning,
                                                                                          const SlicedNetwork& sliced,
                                                                                          std::size_t places) const {
    std::map<std::pair<std::size_t, std::uint32_t>, std::vector<float>> all;
    for (std::size_t place = 0; place < places; ++place) {
      for (const std::uint32_t& size : kSizes) {
        all[{place, size}] =
            results(sliced, beginning.reserved, std::span(&size, 1), static_cast<std::uint32_t>(place)).front();
      }
    }
    return all;
  }

  /// Checks all sequences, each with a network of its own.
  void expect_all_alike(const Beginning& beginning, const std::vector<Sequence>& sequences) const {
    const SlicedNetwork sliced(beginning.most);
    const auto expected = alone(beginning, sliced, kLength);
    for (const Sequence& sequence : sequences) {
      const std::vector<std::vector<float>> all = results(sliced, beginning.reserved, sequence);
      for (std::size_t place = 0; place < kLength; ++place) {
        ASSERT_EQ(all[place], expected.at({place, sequence.at(place)}))
            << "place " << place << " of " << testing::PrintToString(sequence);
      }
    }
  }

  const std::atomic<bool> running_{false};
};

/// Checks a sequence that is short enough for tools that watch every access of a GPU.
TEST_F(CudaSequences, LikeAServersLeaveOneAnotherAlone) {
  const SlicedNetwork sliced;
  const std::vector<std::uint32_t> sizes{16, 1, 1, 1, 2, 1, 1, 4, 2, 1};
  const std::vector<std::vector<float>> all = results(sliced, SlicedNetwork::kMostBatch, sizes);
  for (std::size_t place = 0; place < sizes.size(); ++place) {
    const std::span<const std::uint32_t> own(&sizes[place], 1);
    EXPECT_EQ(all[place], results(sliced, SlicedNetwork::kMostBatch, own, static_cast<std::uint32_t>(place)).front())
        << "place " << place;
  }
}

TEST_F(CudaSequences, HaveEveryThreeInARow) {
  std::set<Three> covered;
  const std::vector<Sequence> sequences = spread(all_sequences());
  for (const Sequence& sequence : sequences) covered.merge(threes_of(sequence));
  EXPECT_EQ(covered.size(), 125U);
  EXPECT_LT(sequences.size(), 60U);
}

TEST_F(CudaSequences, LeaveOneAnotherAlone) {
  const std::vector<Sequence> few = spread(all_sequences());
  for (std::size_t i = 0; i < kBeginnings.size(); ++i) {
    std::vector<Sequence> own;
    for (std::size_t j = i; j < few.size(); j += kBeginnings.size()) own.push_back(few[j]);
    expect_all_alike(kBeginnings.at(i), own);
  }
}

/// A beginning, and the size of the first batch.
using Part = std::pair<std::size_t, std::uint32_t>;

std::vector<Part> wanted_parts() {
  std::vector<Part> parts;
  const char* wanted = std::getenv("DPM_SEQUENCES");
  if (wanted == nullptr || std::string(wanted) != "all") return parts;
  for (std::size_t i = 0; i < kBeginnings.size(); ++i) {
    for (const std::uint32_t size : kSizes) parts.emplace_back(i, size);
  }
  return parts;
}

class EveryCudaSequence : public CudaSequences, public testing::WithParamInterface<Part> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryCudaSequence);

TEST_P(EveryCudaSequence, LeavesOneAnotherAlone) {
  const auto [beginning, size] = GetParam();
  std::vector<Sequence> own = all_sequences();
  std::erase_if(own, [size = size](const Sequence& sequence) { return sequence.front() != size; });
  EXPECT_EQ(own.size(), 625U);
  expect_all_alike(kBeginnings.at(beginning), own);
}

INSTANTIATE_TEST_SUITE_P(Parts, EveryCudaSequence, testing::ValuesIn(wanted_parts()));

}  // namespace
}  // namespace dpm::test
