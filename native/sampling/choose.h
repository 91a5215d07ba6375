// Which samples take part in the next step of a batch: a function of their places in the order and of what steps cost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace dpm {

/// Whoever has the higher priority comes first, then the lower key, then who came first.
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
  std::uint32_t slot = 0;  ///< whose place it is
  /// Rows of the network that its next record takes: none, one, or two where it is guided.
  std::uint32_t rows = 1;
  /// Somebody behind it ran in its place once, as its two rows did not fit: it comes before everybody.
  bool passed_over = false;
  bool runs = false;  ///< the answer
};

/// What steps take by the number of rows that they compute: running means of what was measured, straight lines through
/// the origin where nothing was.
class StepCosts {
 public:
  void add(std::uint32_t rows, double seconds);
  /// Whether `few` rows that are computed as `few_padded` are done at a higher rate than `many` as `many_padded`.
  [[nodiscard]] bool favours(std::uint32_t few, std::uint32_t few_padded, std::uint32_t many,
                             std::uint32_t many_padded) const;

 private:
  std::map<std::uint32_t, double> seconds_;
};

struct StepLimits {
  std::uint32_t rows = 1;
  /// Rows that are computed for a number of them; empty: as many.
  std::function<std::uint32_t(std::uint32_t)> padded;
  /// Leaves rows out where that gives more rows a second than padding does.
  bool fit = false;
};

/// Sorts the candidates, says which of them run, and marks those that are passed over for the next time. Returns the
/// rows that the network sees.
std::uint32_t choose(std::vector<Candidate>& candidates, const StepLimits& limits, const StepCosts& costs);

}  // namespace dpm
