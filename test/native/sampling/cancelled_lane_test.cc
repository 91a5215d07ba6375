// Requests to a running batch that are cancelled.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/lane.h"
#include "sampling/lane_requests.h"
#include "sampling/one_lane.h"

namespace dpm::test {
namespace {

using CancelledLane = OneLane;

TEST_F(CancelledLane, ACancelledRequestIsOutAtTheNextStep) {
  Lane lane(evaluator_of(network_), {2, 4});
  Outcome cancelled;
  Outcome other;
  RunRequest run = plain(50, 3);
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto flag = run.cancelled;
  lane.submit(lane_request(std::move(run), cancelled));
  turns(lane, 4);
  flag->store(true);
  lane.submit(lane_request(plain(1, 2), other, -1));
  turns(lane, 1);
  EXPECT_EQ(cancelled.code, ErrorCode::kAborted);
  EXPECT_EQ(cancelled.message, "sampling was aborted after 8 of 150 records");
  EXPECT_EQ(other.code, ErrorCode::kOk);
  EXPECT_EQ(lane.statistics().cancelled, 1u);
  EXPECT_EQ(lane.statistics().finished, 2u);
  EXPECT_EQ(lane.statistics().rows, 10u);
  EXPECT_FALSE(lane.has_work());
}

TEST_F(CancelledLane, KeepsTheOrderOfThoseThatWaitWhereOthersAreCancelled) {
  constexpr int kRequests = 12;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    RandomValues random(seed);
    Lane lane(evaluator_of(network_), {1, 1});
    std::vector<Outcome> outcomes(kRequests);
    std::vector<std::shared_ptr<std::atomic<bool>>> cancelled;
    std::vector<int> order;
    std::vector<int> keys;
    for (int i = 0; i < kRequests; ++i) {
      RunRequest run = plain(2);
      cancelled.push_back(run.cancelled = std::make_shared<std::atomic<bool>>(false));
      keys.push_back(random.between(0, 1000));
      auto request = lane_request(std::move(run), outcomes[static_cast<std::size_t>(i)], 0, keys.back());
      request->finished = [&order, key = keys.back()](const LaneOutcome& ended) {
        if (ended.code == ErrorCode::kOk) order.push_back(key);
      };
      lane.submit(std::move(request));
    }
    turns(lane, 1);
    for (int i = 0; i < kRequests / 3; ++i) {
      cancelled[static_cast<std::size_t>(random.between(0, kRequests - 1))]->store(true);
    }
    std::vector<int> expected;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!cancelled[i]->load()) expected.push_back(keys[i]);
    }
    std::sort(expected.begin(), expected.end());
    finish_all(lane);
    EXPECT_EQ(order, expected) << seed;
  }
}

}  // namespace
}  // namespace dpm::test
