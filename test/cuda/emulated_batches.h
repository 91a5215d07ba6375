// Fixture for a batch that samples join and leave, on the emulated GPU.
#pragma once

#include "cuda_device.h"
#include "sampling/batch.h"
#include "sampling/random_runs.h"
#include "sampling/run.h"

namespace dpm::test {

class EmulatedBatches : public testing::Test {
 protected:
  void TearDown() override { check_emulated_memory(); }

  /// Results of requests; empty for requests that were not finished.
  using Results = std::vector<std::vector<float>>;

  /// Runs requests in one batch; request i is submitted before turn `turn_of[i]`.
  Results results(const std::vector<RunRequest>& runs, const std::vector<int>& turn_of, const BatchOptions& options) {
    Results images(runs.size());
    Batch batch(std::make_unique<NetworkEvaluator>(network_), options);
    std::size_t submitted = 0;
    for (int turn = 0; submitted < runs.size() || batch.has_work(); ++turn) {
      for (std::size_t i = 0; i < runs.size(); ++i) {
        if (turn_of[i] != turn) continue;
        ++submitted;
        auto request = std::make_unique<BatchRequest>();
        request->keys.assign(runs[i].samples.size(), static_cast<double>(i % 2));
        request->run = runs[i];
        request->finished = [&images, i](BatchOutcome outcome) {
          EXPECT_EQ(outcome.code, ErrorCode::kOk) << outcome.message;
          images[i] = std::move(outcome.result.images.floats);
        };
        batch.submit(std::move(request));
      }
      batch.take_turn();
    }
    statistics_ = batch.statistics();
    return images;
  }

  /// Returns samples of one program of three records that evaluate.
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
  BatchStatistics statistics_;
};

}  // namespace dpm::test
