// A batch that samples join and leave, on the emulated card.
#pragma once

#include "cuda_device.h"
#include "sampling/lane.h"
#include "sampling/random_runs.h"
#include "sampling/runner.h"

namespace dpm::test {

class EmulatedLanes : public testing::Test {
 protected:
  void TearDown() override { check_emulated_memory(); }

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

}  // namespace dpm::test
