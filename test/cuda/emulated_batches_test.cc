// Test of batches that samples join and leave, on the emulated GPU.
#include "emulated_batches.h"

namespace dpm::test {
namespace {

TEST_F(EmulatedBatches, GiveTheSameBitsWhoeverElseIsThereAtOneSize) {
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
  const BatchOptions options{4, 6, true, true};
  const Results together = results(runs, turn_of, options);
  EXPECT_GT(statistics_.padded_rows, 0u);
  const std::atomic<bool> running{false};
  const auto reference = small_.load("reference");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(together[i], results({runs[i]}, {0}, options)[0]) << "request " << i;
    EXPECT_LT(relative_difference(together[i], run_programs(*reference, runs[i], running).images.floats), 2e-3);
  }
}

TEST_F(EmulatedBatches, GoOnAfterSomebodyAskedForMoreThanThereIs) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {2, 2});
  int done = 0;
  const auto run_one = [&] {
    auto request = std::make_unique<BatchRequest>();
    request->run = plain(1);
    request->keys = {0};
    request->finished = [&](const BatchOutcome& outcome) { done += outcome.code == ErrorCode::kOk ? 1 : 0; };
    batch.submit(std::move(request));
    while (batch.has_work()) batch.take_turn();
  };
  run_one();
  EXPECT_EQ(code_of([&] { network_->reserve(1 << 24); }), ErrorCode::kOutOfMemory);
  run_one();
  EXPECT_EQ(done, 2);
}

TEST_F(EmulatedBatches, GoOnAfterTheirOwnMemoryWasGone) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {2, 2});
  // The emulated GPU has room for neither the new nor the old size.
  emulation().limit_memory(1);
  EXPECT_EQ(code_of([&] { network_->reserve(8); }), ErrorCode::kOutOfMemory);
  emulation().limit_memory(kCardMemory);
  std::optional<ErrorCode> code;
  auto request = std::make_unique<BatchRequest>();
  request->run = plain(1);
  request->keys = {0};
  request->finished = [&](const BatchOutcome& outcome) { code = outcome.code; };
  batch.submit(std::move(request));
  while (batch.has_work()) batch.take_turn();
  EXPECT_EQ(code, ErrorCode::kOk);
}

TEST_F(EmulatedBatches, LeaveRowsOutWherePaddingCostsMore) {
  // The GPU computes six rows for five: until that is known to be as fast, four run.
  const BatchOptions fitted{6, 8, true};
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
