// Test of batches on an engine, used by several threads at once.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "core/error.h"
#include "engine/engine.h"
#include "graph_runner.h"
#include "on_engine.h"
#include "sampling/batch.h"
#include "sampling/lone_samples.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

/// Fixture of an engine with a network and batches on it.
class BatchThreads : public testing::Test {
 protected:
  std::shared_ptr<Batch> batch(std::uint32_t rows, double weight = 1) {
    std::shared_ptr<Batch> result;
    on_engine(engine_, [&] {
      result = std::make_shared<Batch>(std::make_unique<NetworkEvaluator>(network_),
                                       BatchOptions{rows, 2 * rows, true, false, weight});
    });
    engine_.add(result);
    return result;
  }

  /// Submits a request; returns its outcome.
  std::future<BatchOutcome> submit(Batch& batch, RunRequest run) {
    auto request = std::make_unique<BatchRequest>();
    request->keys.assign(run.samples.size(), 0);
    request->run = std::move(run);
    auto promise = std::make_shared<std::promise<BatchOutcome>>();
    request->finished = [promise](BatchOutcome outcome) { promise->set_value(std::move(outcome)); };
    batch.check(*request);
    batch.submit(std::move(request));
    engine_.wake();
    return promise->get_future();
  }

  Engine engine_{"cpu", {2, false}};
  const SmallNetwork small_;
  std::shared_ptr<Network> network_ =
      std::make_shared<Network>(engine_.device(), small_.graph(), SmallNetwork::options());
};

TEST_F(BatchThreads, SubmitCancelAndComputeAtOnce) {
  const auto shared = batch(3);
  const auto expected = alone(*small_.load("cpu"), mixed_request(3, 3)).images.floats;
  std::vector<std::thread> threads;
  threads.reserve(3);
  std::atomic<int> wrong{0};
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 20; ++i) {
        RunRequest run = mixed_request(3, 3);
        run.cancelled = std::make_shared<std::atomic<bool>>(false);
        const auto cancelled = run.cancelled;
        auto outcome = submit(*shared, std::move(run));
        if (thread == 2) {
          cancelled->store(true);
          engine_.drop_cancelled();
        }
        if (thread == 1) on_engine(engine_, [] {});
        const BatchOutcome ended = outcome.get();
        const bool fine = ended.code == ErrorCode::kOk ? ended.result.images.floats == expected
                                                       : thread == 2 && ended.code == ErrorCode::kAborted;
        if (!fine) ++wrong;
        if (shared->statistics().resident > 6) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(shared->statistics().finished, 60u);
}

TEST_F(BatchThreads, EndWithTheirEngine) {
  const auto shared = batch(2);
  std::vector<std::future<BatchOutcome>> outcomes;
  outcomes.reserve(51);
  RunRequest run = mixed_request(8, 8);
  for (int i = 0; i < 50; ++i) outcomes.push_back(submit(*shared, run));
  engine_.stop();
  outcomes.push_back(submit(*shared, run));
  for (auto& outcome : outcomes) {
    const ErrorCode code = outcome.get().code;
    EXPECT_TRUE(code == ErrorCode::kClosed || code == ErrorCode::kOk);
  }
  engine_.join();
  EXPECT_EQ(submit(*shared, run).get().code, ErrorCode::kClosed);
}

TEST_F(BatchThreads, ShareTheirEngineByWeight) {
  const auto light = batch(4, 1);
  const auto heavy = batch(1, 4);
  RunRequest run = mixed_request(40000, 40000);
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = run.cancelled;
  auto first = submit(*light, run);
  auto second = submit(*heavy, run);
  // The duration is many times the time for which another process may interrupt a step, which counts as the step's.
  constexpr double kSeconds = 1.5;
  const auto wait_until = [&](const Batch& batch, double seconds) {
    while (batch.statistics().seconds < seconds) {
      ASSERT_EQ(second.wait_for(std::chrono::milliseconds(1)), std::future_status::timeout);
    }
  };
  // The time of accepting so many samples is not that of their steps, and has to be balanced first.
  wait_until(*heavy, 0.02);
  wait_until(*light, 0.02);
  const BatchStatistics light_before = light->statistics();
  const BatchStatistics heavy_before = heavy->statistics();
  wait_until(*heavy, heavy_before.seconds + kSeconds);
  const double share =
      (light->statistics().seconds - light_before.seconds) / (heavy->statistics().seconds - heavy_before.seconds);
  cancelled->store(true);
  engine_.drop_cancelled();
  static_cast<void>(first.get());
  static_cast<void>(second.get());
  // The statistics count only steps, while shares count whole turns; with equal weights the share would be about 1.
  EXPECT_GT(share, 0.05);
  EXPECT_LT(share, 0.6);
}

}  // namespace
}  // namespace dpm::test
