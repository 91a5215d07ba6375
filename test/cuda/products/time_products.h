// Trials and times of every candidate of every problem, until a deadline.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "cuda/products/products.h"
#include "problem.h"

namespace dpm::cuda {

struct ProductTiming {
  const Stream& stream;
  /// Products of a library; null where there is none: only our own kernels are then timed.
  Products* products = nullptr;
  /// Callback before every problem; true ends the measurement.
  std::function<bool()> is_late;
  /// Receives every row as soon as it is known.
  std::function<void(const std::string&)> print;
  /// Number of problems whose plans are made at the same time.
  std::size_t at_once = 1;
};

struct TimingSummary {
  std::size_t done = 0;    ///< number of problems done
  std::size_t wrong = 0;   ///< number of kernels with another result than our own
  std::size_t failed = 0;  ///< number of kernels and problems that could not be tried
};

/// Tries the problems in their order. The fastest right candidate of each is the choice of later processes; wrong ones
/// count as if they did not run. Results are saved after every problem. Throws CardFailure.
TimingSummary time_products(const ProductTiming& timing, std::span<const Problem> problems);

}  // namespace dpm::cuda
