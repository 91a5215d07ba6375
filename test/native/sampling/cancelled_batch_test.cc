// Test of requests to a running batch that are cancelled.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/batch.h"
#include "sampling/batch_requests.h"
#include "sampling/one_batch.h"

namespace dpm::test {
namespace {

using CancelledBatch = OneBatch;

TEST_F(CancelledBatch, ACancelledRequestIsOutAtTheNextStep) {
  Batch batch(evaluator_of(network_), {2, 4});
  Outcome cancelled;
  Outcome other;
  RunRequest run = plain(50, 3);
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto flag = run.cancelled;
  batch.submit(batch_request(std::move(run), cancelled));
  turns(batch, 4);
  flag->store(true);
  batch.submit(batch_request(plain(1, 2), other, -1));
  turns(batch, 1);
  EXPECT_EQ(cancelled.code, ErrorCode::kAborted);
  EXPECT_EQ(cancelled.message, "sampling was aborted after 8 of 150 records");
  EXPECT_EQ(other.code, ErrorCode::kOk);
  EXPECT_EQ(batch.statistics().cancelled, 1u);
  EXPECT_EQ(batch.statistics().finished, 2u);
  EXPECT_EQ(batch.statistics().rows, 10u);
  EXPECT_FALSE(batch.has_work());
}

TEST_F(CancelledBatch, ARequestThatHasWaitedForTooLongIsRefused) {
  Batch batch(evaluator_of(network_), {1, 4});
  Outcome begun;
  Outcome overdue;
  Outcome patient;
  auto runs = batch_request(plain(3), begun);
  runs->most_queued_seconds = 1e-3;
  batch.submit(std::move(runs));
  turns(batch, 1);
  auto waits = batch_request(plain(1, 2), overdue, 0, 1);
  waits->most_queued_seconds = 1e-3;
  batch.submit(std::move(waits));
  auto longer = batch_request(plain(1), patient, 0, 2);
  longer->most_queued_seconds = 60;
  batch.submit(std::move(longer));
  EXPECT_EQ(batch.statistics().waiting, 3u);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  turns(batch, 1);
  EXPECT_EQ(overdue.code, ErrorCode::kOverloaded);
  EXPECT_EQ(overdue.message, "no sample of the request has begun in time");
  EXPECT_STREQ(error_code_name(overdue.code.value_or(ErrorCode::kOk)), "ERR_DPM_OVERLOADED");
  EXPECT_GE(overdue.queued_seconds, 3e-3);
  EXPECT_EQ(batch.statistics().waiting, 1u);
  turns(batch, 5);
  // A request that has begun goes on, however long it takes.
  EXPECT_EQ(begun.code, ErrorCode::kOk);
  EXPECT_EQ(patient.code, ErrorCode::kOk);
  EXPECT_EQ(batch.statistics().finished, 3u);
  EXPECT_EQ(batch.statistics().cancelled, 0u);
  EXPECT_FALSE(batch.has_work());
}

TEST_F(CancelledBatch, KeepsTheOrderOfThoseThatWaitWhereOthersAreCancelled) {
  constexpr int kRequests = 12;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    RandomValues random(seed);
    Batch batch(evaluator_of(network_), {1, 1});
    std::vector<Outcome> outcomes(kRequests);
    std::vector<std::shared_ptr<std::atomic<bool>>> cancelled;
    std::vector<int> order;
    std::vector<int> keys;
    for (int i = 0; i < kRequests; ++i) {
      RunRequest run = plain(2);
      cancelled.push_back(run.cancelled = std::make_shared<std::atomic<bool>>(false));
      keys.push_back(random.between(0, 1000));
      auto request = batch_request(std::move(run), outcomes[static_cast<std::size_t>(i)], 0, keys.back());
      request->finished = [&order, key = keys.back()](const BatchOutcome& ended) {
        if (ended.code == ErrorCode::kOk) order.push_back(key);
      };
      batch.submit(std::move(request));
    }
    turns(batch, 1);
    for (int i = 0; i < kRequests / 3; ++i) {
      cancelled[static_cast<std::size_t>(random.between(0, kRequests - 1))]->store(true);
    }
    std::vector<int> expected;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!cancelled[i]->load()) expected.push_back(keys[i]);
    }
    std::sort(expected.begin(), expected.end());
    finish_all(batch);
    EXPECT_EQ(order, expected) << seed;
  }
}

}  // namespace
}  // namespace dpm::test
