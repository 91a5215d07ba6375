// What is printed of every kernel that was tried, as one line of JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "problem.h"

namespace dpm::cuda {

struct TrialRow {
  /// Of the library `bare`, `joined`, `joined fallback` or `attention`, of our kernels `own` or `own small`; `refused`
  /// where the library has nothing.
  std::string kind;
  /// Text of a candidate, e.g. `0p/62:2=0,27=8`; empty for our own kernels.
  std::string candidate = {};
  /// What another kernel has to do, as a sum of ConvolutionPart.
  unsigned parts_left = 0;
  /// It writes the output without gaps, for another kernel to place it.
  bool packed = false;
  std::int64_t workspace_bytes = 0;
  std::optional<bool> right = {};
  /// NaN where a number of the output is none.
  std::optional<double> relative_error = {};
  std::optional<double> seconds = {};
  /// Why it could not be tried, if so.
  std::string error = {};
};

/// A line without its end.
std::string to_json(const Problem& problem, const TrialRow& row);

}  // namespace dpm::cuda
