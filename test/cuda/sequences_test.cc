// A network's batches leave one another alone, whatever came before them. $DPM_SEQUENCES=all goes through every
// sequence of five sizes from every beginning; without it every three in a row come from one of them.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "cuda_device.h"
#include "sampling/runner.h"
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

/// Of all sequences those that bring the most threes which those before them have not.
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

/// What is different about a network before its first batch.
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
  std::vector<float> images(Network& network, std::uint32_t samples) const {
    return run_programs(network, short_request(samples, 1), running_).images.floats;
  }

  /// Every sequence begins with a network of its own.
  void expect_all_alike(const Beginning& beginning, const std::vector<Sequence>& sequences) const {
    const SlicedNetwork sliced(beginning.most);
    std::map<std::uint32_t, std::vector<float>> alone;
    for (const std::uint32_t size : kSizes) alone[size] = images(*sliced.load(), size);
    for (const Sequence& sequence : sequences) {
      const auto network = sliced.load(beginning.reserved);
      for (const std::uint32_t size : sequence) {
        ASSERT_EQ(images(*network, size), alone[size]) << size << " of " << testing::PrintToString(sequence);
      }
    }
  }

  const std::atomic<bool> running_{false};
};

/// Short enough for what watches every access of a card.
TEST_F(CudaSequences, LikeAServersLeaveOneAnotherAlone) {
  const SlicedNetwork sliced;
  const auto network = sliced.load();
  for (const std::uint32_t size : {16U, 1U, 1U, 1U, 2U, 1U, 1U, 4U, 2U, 1U}) {
    EXPECT_EQ(images(*network, size), images(*sliced.load(), size)) << size;
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
  const char* wanted = std::getenv("DPM_SEQUENCES");
  if (wanted != nullptr && std::string(wanted) == "all") {
    for (const Beginning& beginning : kBeginnings) expect_all_alike(beginning, all_sequences());
    return;
  }
  const std::vector<Sequence> few = spread(all_sequences());
  for (std::size_t i = 0; i < kBeginnings.size(); ++i) {
    std::vector<Sequence> own;
    for (std::size_t j = i; j < few.size(); j += kBeginnings.size()) own.push_back(few[j]);
    expect_all_alike(kBeginnings.at(i), own);
  }
}

}  // namespace
}  // namespace dpm::test
