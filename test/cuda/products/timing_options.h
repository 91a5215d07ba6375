// The arguments of dpm_time_products, and the list of problems for them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "problem.h"

namespace dpm::cuda {

struct TimingOptions {
  std::string shapes;
  std::vector<int> batches = {1, 128};
  /// Types `bf16`, `f16`, `f32` or `tf32`, in their order.
  std::vector<std::string> types = {"bf16"};
  /// Maximum of rows of each kind.
  std::size_t rows = std::numeric_limits<std::size_t>::max();
  double most_operations = std::numeric_limits<double>::infinity();
  double seconds = std::numeric_limits<double>::infinity();
};

extern const char* const kTimingUsage;

/// Parses arguments. Throws Error(kArgument) for unknown ones.
TimingOptions parse_timing_options(std::span<char* const> arguments);

/// Lists the products of the table, each once, the most valuable first: types in their order; for each type the few
/// attentions, then the convolutions in the table's order, which is that of the networks, each with all batches;
/// convolutions with a map of more than 2^28 elements, which are rarely used at once, last. Throws the errors of
/// reading the table.
std::vector<Problem> list_problems(const TimingOptions& options);

}  // namespace dpm::cuda
