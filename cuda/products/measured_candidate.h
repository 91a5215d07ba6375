// The result of a plan's trial.
#pragma once

#include <string>

namespace dpm::cuda {

/// A candidate that was measured.
struct MeasuredCandidate {
  std::string text;
  double seconds;  ///< seconds of a run; infinite where the plan does not run, or computes a wrong result
};

/// Writes the result as text, e.g. `0p/62:2=0,27=8@41.7`, with microseconds, or `@-` where they are infinite.
std::string to_text(const MeasuredCandidate& measured);

}  // namespace dpm::cuda
