#include "sampling/choose.h"

#include <algorithm>
#include <ranges>

namespace dpm {
namespace {

/// Weight of the last measurement in a running mean.
constexpr double kNewest = 0.1;

bool comes_first(const Candidate& a, const Candidate& b) {
  if (a.passed_over != b.passed_over) return a.passed_over;
  return a.place.before(b.place);
}

/// Takes the candidates in their order while they fit into `limit` rows. A candidate that does not fit lets those
/// behind it run, unless it was passed over before.
std::uint32_t take(std::vector<Candidate>& candidates, std::uint32_t limit) {
  std::uint32_t rows = 0;
  bool blocked = false;
  for (Candidate& candidate : candidates) {
    const bool fits = candidate.rows == 0 || (!blocked && rows + candidate.rows <= limit);
    candidate.runs = fits;
    if (fits) rows += candidate.rows;
    blocked = blocked || (!fits && candidate.passed_over);
  }
  return rows;
}

/// The largest number of rows below `rows` that is not padded; 0 where there is none.
std::uint32_t full_size_below(std::uint32_t rows, const StepLimits& limits) {
  std::uint32_t size = rows - 1;
  while (size > 0 && limits.padded(size) > size) --size;
  return size;
}

void mark_passed_over(std::vector<Candidate>& candidates) {
  bool somebody_behind_runs = false;
  for (Candidate& candidate : std::views::reverse(candidates)) {
    candidate.passed_over = !candidate.runs && (candidate.passed_over || somebody_behind_runs);
    somebody_behind_runs = somebody_behind_runs || (candidate.runs && candidate.rows > 0);
  }
}

}  // namespace

void StepCosts::add(std::uint32_t rows, double seconds) {
  const auto [known, is_new] = seconds_.try_emplace(rows, seconds);
  if (!is_new) known->second += kNewest * (seconds - known->second);
}

bool StepCosts::favours(std::uint32_t few, std::uint32_t few_padded, std::uint32_t many,
                        std::uint32_t many_padded) const {
  const auto of_few = seconds_.find(few_padded);
  const auto of_many = seconds_.find(many_padded);
  const bool known = of_few != seconds_.end() && of_many != seconds_.end();
  const double few_cost = known ? of_few->second : few_padded;
  const double many_cost = known ? of_many->second : many_padded;
  return few * many_cost > many * few_cost;
}

std::uint32_t choose(std::vector<Candidate>& candidates, const StepLimits& limits, const StepCosts& costs) {
  std::sort(candidates.begin(), candidates.end(), comes_first);
  std::uint32_t rows = take(candidates, limits.rows);
  const std::uint32_t padded = limits.padded && rows > 0 ? limits.padded(rows) : rows;
  if (limits.fit && padded > rows) {
    const std::uint32_t few = take(candidates, full_size_below(rows, limits));
    const bool is_better = few > 0 && costs.favours(few, limits.padded(few), rows, padded);
    if (is_better) {
      rows = few;
    } else {
      take(candidates, limits.rows);
    }
  }
  mark_passed_over(candidates);
  return rows;
}

}  // namespace dpm
