// Requests to a batch that samples join and leave, and what became of them.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "sampling/lane.h"
#include "sampling/random_runs.h"
#include "sampling/runner.h"

namespace dpm::test {

/// What became of a request.
struct Outcome {
  std::optional<ErrorCode> code;
  std::string message;
  RunResult result;
  double queued_seconds = 0;
  double run_seconds = 0;
  int calls = 0;
};

inline std::unique_ptr<Evaluator> evaluator_of(const std::shared_ptr<Network>& network) {
  return std::make_unique<SharedNetworkEvaluator>(network);
}

inline std::unique_ptr<LaneRequest> lane_request(RunRequest run, Outcome& outcome, std::int32_t priority = 0,
                                                 double key = 0) {
  auto request = std::make_unique<LaneRequest>();
  request->keys.assign(run.samples.size(), key);
  request->run = std::move(run);
  request->priority = priority;
  request->finished = [&outcome](LaneOutcome ended) {
    outcome.code = ended.code;
    outcome.message = std::move(ended.message);
    outcome.result = std::move(ended.result);
    outcome.queued_seconds = ended.queued_seconds;
    outcome.run_seconds = ended.run_seconds;
    ++outcome.calls;
  };
  return request;
}

inline void finish_all(Lane& lane) {
  for (int turn = 0; lane.has_work(); ++turn) {
    ASSERT_LT(turn, 100000) << "a batch does not come to an end";
    lane.take_turn();
  }
}

inline void expect_equal(const RunResult& actual, const RunResult& expected, const std::string& what) {
  ASSERT_EQ(actual.images.floats, expected.images.floats) << what;
  ASSERT_EQ(actual.images.levels, expected.images.levels) << what;
  ASSERT_EQ(actual.snapshots.size(), expected.snapshots.size()) << what;
  for (std::size_t i = 0; i < expected.snapshots.size(); ++i) {
    ASSERT_EQ(actual.snapshots[i].record, expected.snapshots[i].record) << what;
    ASSERT_EQ(actual.snapshots[i].images.floats, expected.snapshots[i].images.floats) << what;
    ASSERT_EQ(actual.snapshots[i].images.levels, expected.snapshots[i].images.levels) << what;
  }
}

}  // namespace dpm::test
