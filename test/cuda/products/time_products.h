// Every candidate of every problem, tried and timed until a deadline.
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
  /// Null where there is no library: our own kernels alone are timed then.
  Products* products = nullptr;
  /// Asked before every problem.
  std::function<bool()> is_late;
  /// Gets every row, at once.
  std::function<void(const std::string&)> print;
  /// Plans for so many problems are made beside each other.
  std::size_t at_once = 1;
};

struct TimingSummary {
  std::size_t done = 0;    ///< problems
  std::size_t wrong = 0;   ///< kernels with another result than our own
  std::size_t failed = 0;  ///< kernels and problems that could not be tried
};

/// Tries them in their order. The fastest right candidate of each is what later processes take; those that are wrong
/// count as if they did not run. What is learnt is saved after every problem. Throws CardFailure.
TimingSummary time_products(const ProductTiming& timing, std::span<const Problem> problems);

}  // namespace dpm::cuda
