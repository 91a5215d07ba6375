// Requests to a batch that samples join and leave, and their outcomes.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "sampling/batch.h"
#include "sampling/lone_samples.h"
#include "sampling/random_runs.h"
#include "sampling/run.h"

namespace dpm::test {

/// The outcome of a request.
struct Outcome {
  std::optional<ErrorCode> code;
  std::string message;
  RunResult result;
  double queued_seconds = 0;
  double run_seconds = 0;
  int calls = 0;
};

inline std::unique_ptr<Evaluator> evaluator_of(const std::shared_ptr<Network>& network) {
  return std::make_unique<NetworkEvaluator>(network);
}

inline std::unique_ptr<BatchRequest> batch_request(RunRequest run, Outcome& outcome, std::int32_t priority = 0,
                                                   double key = 0) {
  auto request = std::make_unique<BatchRequest>();
  request->keys.assign(run.samples.size(), key);
  request->run = std::move(run);
  request->priority = priority;
  request->finished = [&outcome](BatchOutcome ended) {
    outcome.code = ended.code;
    outcome.message = std::move(ended.message);
    outcome.result = std::move(ended.result);
    outcome.queued_seconds = ended.queued_seconds;
    outcome.run_seconds = ended.run_seconds;
    ++outcome.calls;
  };
  return request;
}

/// Makes the state of every record the data prediction, so that both kinds of previews show the same.
inline void show_data_as_state(std::vector<dpm_record>& records) {
  for (dpm_record& record : records) {
    record.variance = DPM_VARIANCE_NONE;
    record.x_x = 0;
    for (float& coefficient : record.x_history) coefficient = 0;
    record.x_history[record.slot] = 1;
  }
}

/// Requests previews of the data prediction instead of the state.
inline void preview_predictions(BatchRequest& request, const std::vector<dpm_record>& records) {
  for (const dpm_record& record : records) {
    request.data_predictions.push_back(record.x0_in);
    request.data_predictions.push_back(record.x0_out);
  }
}

inline void finish_all(Batch& batch) {
  for (int turn = 0; batch.has_work(); ++turn) {
    ASSERT_LT(turn, 100000) << "a batch does not come to an end";
    batch.take_turn();
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
