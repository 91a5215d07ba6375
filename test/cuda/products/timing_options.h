// What dpm_time_products is told, and the problems that follow from it.
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
  /// `bf16`, `f16`, `f32` or `tf32`, the first before all others.
  std::vector<std::string> types = {"bf16"};
  /// Of each kind.
  std::size_t rows = std::numeric_limits<std::size_t>::max();
  double most_operations = std::numeric_limits<double>::infinity();
  double seconds = std::numeric_limits<double>::infinity();
};

extern const char* const kTimingUsage;

/// Throws Error(kArgument) for what is none of them.
TimingOptions parse_timing_options(std::span<char* const> arguments);

/// The products of the table, each once, the most valuable first: types in their order; of a type the few attentions,
/// then the convolutions in the table's order, which is that of the networks, each with all batches; convolutions with
/// a map of more than 2^28 elements, which nobody runs at once, last. Throws what reading the table throws.
std::vector<Problem> list_problems(const TimingOptions& options);

}  // namespace dpm::cuda
