// Programs whose predictions come from a function of the caller's: the same loop, which stops where it needs one.
#pragma once

#include <memory>
#include <vector>

#include "sampling/evaluator.h"
#include "sampling/flight.h"
#include "sampling/request.h"

namespace dpm {

class ScriptRun {
 public:
  /// All samples of the request in their initial states. Throws Error(kArgument) when it is inconsistent.
  ScriptRun(std::shared_ptr<Device> device, const NetworkShape& shape, RunRequest request);

  /// Begins the next record of every unfinished sample; false when all are done. `states` and `times` then hold what
  /// is asked, nothing where no record evaluates.
  bool ask();
  /// [rows][image] and one time per row.
  [[nodiscard]] const std::vector<float>& states() const { return states_; }
  [[nodiscard]] const std::vector<float>& times() const { return times_; }
  /// Ends the record with the predictions, [rows][out] and [rows][head], and gradients of guides, [rows][image] or
  /// none. Throws Error(kArgument) when none was asked for, Error(kTensorShape) when there are more or fewer than
  /// states.
  void answer(const std::vector<float>& out, const std::vector<float>& head, const std::vector<float>& guide = {});
  /// The states as they are now, [samples][image].
  [[nodiscard]] std::vector<float> states_now() const;
  /// Goes on from other states, [samples][image]. Throws Error(kArgument) while a question waits for its answer,
  /// Error(kTensorShape) when there are more or fewer than samples.
  void replace(const std::vector<float>& states);

 private:
  ScriptEvaluator evaluator_;
  const RunRequest request_;
  Flight flight_;
  bool begun_ = false;
  std::vector<float> states_;
  std::vector<float> times_;
};

}  // namespace dpm
