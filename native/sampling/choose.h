// The choice of the samples that take part in the next step of a batch, by their places in the order and the cost of
// steps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace dpm {

/// A sample's place in the order: higher priority first, then lower key, then earlier arrival.
struct Place {
  std::int32_t priority = 0;
  double key = 0;
  std::uint64_t arrival = 0;

  [[nodiscard]] bool before(const Place& other) const {
    if (priority != other.priority) return priority > other.priority;
    if (key != other.key) return key < other.key;
    return arrival < other.arrival;
  }
};

struct Candidate {
  Place place;
  std::uint32_t slot = 0;  ///< the slot that has this place
  /// Rows of the network that its next record takes: 0, 1, or 2 where it is guided.
  std::uint32_t rows = 1;
  /// A sample behind it ran in its place once because its two rows did not fit; now it comes before all others.
  bool passed_over = false;
  bool runs = false;  ///< the result of the choice
};

/// Costs of steps by the number of computed rows: running means of measurements, and lines through the origin for sizes
/// that were not measured.
class StepCosts {
 public:
  void add(std::uint32_t rows, double seconds);
  /// Returns whether `few` rows, computed as `few_padded`, have a higher rate than `many` rows, computed as
  /// `many_padded`.
  [[nodiscard]] bool favours(std::uint32_t few, std::uint32_t few_padded, std::uint32_t many,
                             std::uint32_t many_padded) const;

 private:
  std::map<std::uint32_t, double> seconds_;
};

struct StepLimits {
  std::uint32_t rows = 1;
  /// Number of rows that are computed for a given number of rows; empty: the same number.
  std::function<std::uint32_t(std::uint32_t)> padded;
  /// Leaves rows out where that gives more rows a second than padding does.
  bool fit = false;
};

/// Sorts the candidates, sets which of them run, and marks those that are passed over. Returns the rows that the
/// network sees.
std::uint32_t choose(std::vector<Candidate>& candidates, const StepLimits& limits, const StepCosts& costs);

}  // namespace dpm
