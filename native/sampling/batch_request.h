// A request to a batch.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/network.h"
#include "sampling/run_result.h"

namespace dpm {

/// The way a request ended; the result is empty unless the code is kOk.
struct BatchOutcome {
  ErrorCode code = ErrorCode::kOk;
  std::string message;
  RunResult result;
  double queued_seconds = 0;  ///< time until its first sample had a slot
  double run_seconds = 0;     ///< time from its first sample's slot to its end
};

/// Samples that join a batch. The run's own `batch` and `guides` are ignored: the batch has its own.
struct BatchRequest {
  RunRequest run;
  /// Priority of the request; a higher one runs first.
  std::int32_t priority = 0;
  /// One key per sample; within one priority the lowest runs first.
  std::vector<double> keys;
  /// Seconds after which the request ends with kOverloaded if none of its samples has had a slot.
  double most_queued_seconds = std::numeric_limits<double>::infinity();
  /// A preview shows neighbouring samples that have done the same number of records together; otherwise it shows one
  /// sample, its `first`.
  bool previews_rows = false;
  /// Previews show the data prediction of one sample: per record the coefficients of the input and of the output.
  /// Empty: the state.
  std::vector<float> data_predictions;
  /// Callback for every sample that is done; may be null.
  std::function<void(std::uint32_t sample, RunImages image)> image;
  /// Callback for the end, called exactly once in any case.
  std::function<void(BatchOutcome outcome)> finished;
  /// Time of submission in seconds of the steady clock; the batch writes it.
  double submitted_at = 0;
};

/// Throws Error(kArgument) when the request does not fit a network of `shape` whose steps have `rows` rows.
void check_batch_request(const BatchRequest& request, const NetworkShape& shape, std::uint32_t rows);

}  // namespace dpm
