// What a batch is asked for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/network.h"
#include "sampling/run_result.h"

namespace dpm {

/// How a request ended; the result is empty unless the code is kOk.
struct BatchOutcome {
  ErrorCode code = ErrorCode::kOk;
  std::string message;
  RunResult result;
  double queued_seconds = 0;  ///< until its first sample had a slot
  double run_seconds = 0;     ///< from then on
};

/// Samples that join a batch. The run's own `batch` and `guides` say nothing here: both are the batch's.
struct BatchRequest {
  RunRequest run;
  /// Those of a higher one run first.
  std::int32_t priority = 0;
  /// One per sample; of one priority the least run first.
  std::vector<double> keys;
  /// A preview shows all samples in a row that have come as far; otherwise one, its `first`.
  bool previews_rows = false;
  /// Previews show the data prediction of one sample: per record the coefficients of the input and of the output.
  /// Empty: the state.
  std::vector<float> data_predictions;
  /// Called with every sample that is done. May be null.
  std::function<void(std::uint32_t sample, RunImages image)> image;
  /// Called once, whatever happens.
  std::function<void(BatchOutcome outcome)> finished;
  /// Seconds of the steady clock; the batch writes it.
  double submitted_at = 0;
};

/// Throws Error(kArgument) when the request does not fit a network of `shape` whose steps have `rows` rows.
void check_batch_request(const BatchRequest& request, const NetworkShape& shape, std::uint32_t rows);

}  // namespace dpm
