// The printed result of every tried kernel, as one line of JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "problem.h"

namespace dpm::cuda {

struct TrialRow {
  /// Kind of kernel: `bare`, `joined`, `joined fallback` or `attention` for the library, `own` or `own small` for our
  /// kernels; `refused` where the library has none.
  std::string kind;
  /// Text of a candidate, e.g. `0p/62:2=0,27=8`; empty for our own kernels.
  std::string candidate = {};
  /// Parts that another kernel has to do, as a sum of ConvolutionPart.
  unsigned parts_left = 0;
  /// Tells whether it writes the output without gaps, for another kernel to place it.
  bool packed = false;
  std::int64_t workspace_bytes = 0;
  std::optional<bool> right = {};
  /// Relative error; NaN where a number of the output is NaN.
  std::optional<double> relative_error = {};
  std::optional<double> seconds = {};
  /// Reason why it could not be tried, if so.
  std::string error = {};
};

/// Returns a line without its end.
std::string to_json(const Problem& problem, const TrialRow& row);

}  // namespace dpm::cuda
