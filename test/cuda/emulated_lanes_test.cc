// Batches that samples join and leave, on the emulated card.
#include <gtest/gtest.h>

#include "graph_runner.h"
#include "sampling/lane.h"
#include "sampling/random_runs.h"
#include "sampling/runner.h"

namespace dpm::test {
namespace {

class EmulatedLanes : public testing::Test {
 protected:
  /// Nothing for requests that have not been done.
  using Results = std::vector<std::vector<float>>;

  /// Runs requests in one lane, of which number i comes before turn `turn_of[i]`.
  Results results(const std::vector<RunRequest>& runs, const std::vector<int>& turn_of, const LaneOptions& options) {
    Results images(runs.size());
    Lane lane(std::make_unique<SharedNetworkEvaluator>(network_), options);
    std::size_t submitted = 0;
    for (int turn = 0; submitted < runs.size() || lane.has_work(); ++turn) {
      for (std::size_t i = 0; i < runs.size(); ++i) {
        if (turn_of[i] != turn) continue;
        ++submitted;
        auto request = std::make_unique<LaneRequest>();
        request->keys.assign(runs[i].samples.size(), static_cast<double>(i % 2));
        request->run = runs[i];
        request->finished = [&images, i](LaneOutcome outcome) {
          EXPECT_EQ(outcome.code, ErrorCode::kOk) << outcome.message;
          images[i] = std::move(outcome.result.images.floats);
        };
        lane.submit(std::move(request));
      }
      lane.take_turn();
    }
    statistics_ = lane.statistics();
    return images;
  }

  /// Samples of one program of three records that evaluate.
  static RunRequest plain(std::uint32_t samples) {
    RunRequest run;
    run.records = small_program(3, 0.5F);
    run.programs = {{0, 3, 2, 1.0F}};
    for (std::uint32_t i = 0; i < samples; ++i) run.samples.push_back({0, 1, 2, i, 0});
    run.batch = samples;
    return run;
  }

  const SmallNetwork small_;
  std::shared_ptr<Network> network_ = small_.load("cuda:0");
  LaneStatistics statistics_;
};

TEST_F(EmulatedLanes, GiveTheSameBitsWhoeverElseIsThereAtOneSize) {
  RandomValues random(3);
  std::vector<RunRequest> runs;
  std::vector<int> turn_of;
  while (runs.size() < 5) {
    RunRequest run = random_run(random, false);
    if (run.records.size() > 16) continue;
    run.levels = false;
    runs.push_back(std::move(run));
    turn_of.push_back(random.between(0, 6));
  }
  const LaneOptions options{4, 6, true, true};
  const Results together = results(runs, turn_of, options);
  EXPECT_GT(statistics_.padded_rows, 0u);
  const std::atomic<bool> running{false};
  const auto reference = small_.load("reference");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(together[i], results({runs[i]}, {0}, options)[0]) << "request " << i;
    EXPECT_LT(relative_difference(together[i], run_programs(*reference, runs[i], running).images.floats), 2e-3);
  }
}

TEST_F(EmulatedLanes, GoOnAfterSomebodyAskedForMoreThanThereIs) {
  Lane lane(std::make_unique<SharedNetworkEvaluator>(network_), {2, 2});
  int done = 0;
  const auto run_one = [&] {
    auto request = std::make_unique<LaneRequest>();
    request->run = plain(1);
    request->keys = {0};
    request->finished = [&](const LaneOutcome& outcome) { done += outcome.code == ErrorCode::kOk ? 1 : 0; };
    lane.submit(std::move(request));
    while (lane.has_work()) lane.take_turn();
  };
  run_one();
  EXPECT_EQ(code_of([&] { network_->reserve(1 << 24); }), ErrorCode::kOutOfMemory);
  run_one();
  EXPECT_EQ(done, 2);
}

TEST_F(EmulatedLanes, LeaveRowsOutWherePaddingCostsMore) {
  // With five rows the card computes six: until it is known to be as quick, four run.
  const LaneOptions fitted{6, 8, true};
  results({plain(5)}, {0}, fitted);
  EXPECT_EQ(statistics_.padded_rows, 0u);
  EXPECT_GT(statistics_.steps, 3u);
  const Results padded = results({plain(5)}, {0}, {6, 8, false});
  EXPECT_EQ(statistics_.steps, 3u);
  EXPECT_EQ(statistics_.rows, 15u);
  EXPECT_EQ(statistics_.padded_rows, 3u);
  EXPECT_EQ(padded[0].size(), std::size_t{5} * SmallNetwork::kElements);
}

}  // namespace
}  // namespace dpm::test
