// Test of the choice of samples for the next step.
#include "sampling/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "random_values.h"

namespace dpm::test {
namespace {

/// Costs known to a test: seconds of a step for each number of computed rows.
struct KnownCosts {
  std::vector<double> seconds;
  StepCosts costs;

  KnownCosts(RandomValues& random, std::uint32_t most) : seconds(most + 1) {
    double total = random.between(1, 20);
    for (std::uint32_t rows = 1; rows <= most; ++rows) {
      seconds[rows] = total += random.between(0, 10);
      costs.add(rows, seconds[rows]);
    }
  }
};

/// Sorts by the order of the design, by selection.
std::vector<Candidate> in_order(std::vector<Candidate> candidates) {
  std::vector<Candidate> ordered;
  while (!candidates.empty()) {
    auto first = candidates.begin();
    for (auto each = candidates.begin(); each != candidates.end(); ++each) {
      const auto& a = *each;
      const auto& b = *first;
      const auto rank = [](const Candidate& c) {
        return std::tuple(!c.passed_over, -c.place.priority, c.place.key, c.place.arrival);
      };
      if (rank(a) < rank(b)) first = each;
    }
    ordered.push_back(*first);
    candidates.erase(first);
  }
  return ordered;
}

/// Returns the slots of those that fit into `limit` rows, in order, each looked at once.
std::set<std::uint32_t> expected_of(const std::vector<Candidate>& ordered, std::uint32_t limit, std::uint32_t& rows) {
  std::set<std::uint32_t> runs;
  rows = 0;
  bool closed = false;
  for (const Candidate& candidate : ordered) {
    if (candidate.rows == 0) {
      runs.insert(candidate.slot);
    } else if (!closed && rows + candidate.rows <= limit) {
      rows += candidate.rows;
      runs.insert(candidate.slot);
    } else if (candidate.passed_over) {
      closed = true;
    }
  }
  return runs;
}

TEST(Choosing, IsWhatAllRandomStatesAskFor) {
  for (std::uint32_t seed = 0; seed < 100000; ++seed) {
    RandomValues random(seed);
    StepLimits limits;
    limits.rows = static_cast<std::uint32_t>(random.between(2, 12));
    std::set<std::uint32_t> sizes = {limits.rows};
    for (std::uint32_t size = 1; size < limits.rows; ++size) {
      if (random.between(0, 2) == 0) sizes.insert(size);
    }
    if (random.between(0, 3) > 0) limits.padded = [&](std::uint32_t rows) { return *sizes.lower_bound(rows); };
    limits.fit = random.between(0, 3) > 0;
    const KnownCosts known(random, limits.rows);
    std::vector<Candidate> candidates;
    const int count = random.between(0, 14);
    for (int i = 0; i < count; ++i) {
      candidates.push_back(
          {{random.between(-1, 1), static_cast<double>(random.between(0, 3)), static_cast<std::uint64_t>(i)},
           static_cast<std::uint32_t>(100 + i),
           static_cast<std::uint32_t>(random.between(0, 2)),
           random.between(0, 9) == 0,
           random.between(0, 1) == 0});
      if (candidates.back().rows != 2) candidates.back().passed_over = false;
    }
    std::shuffle(candidates.begin(), candidates.end(), std::mt19937(seed));
    const std::vector<Candidate> ordered = in_order(candidates);

    std::uint32_t all_rows = 0;
    std::set<std::uint32_t> expected = expected_of(ordered, limits.rows, all_rows);
    std::uint32_t expected_rows = all_rows;
    const auto cost = [&](std::uint32_t rows) { return known.seconds[limits.padded ? limits.padded(rows) : rows]; };
    if (limits.fit && limits.padded && all_rows > 0 && !sizes.contains(all_rows)) {
      const auto above = sizes.lower_bound(all_rows);
      const std::uint32_t below = above == sizes.begin() ? 0 : *std::prev(above);
      std::uint32_t few = 0;
      const auto fitted = expected_of(ordered, below, few);
      if (few > 0 && few / cost(few) > all_rows / cost(all_rows)) {
        expected = fitted;
        expected_rows = few;
      }
    }

    const std::uint32_t rows = choose(candidates, limits, known.costs);
    std::set<std::uint32_t> runs;
    std::uint32_t counted = 0;
    for (const Candidate& candidate : candidates) {
      if (!candidate.runs) continue;
      runs.insert(candidate.slot);
      counted += candidate.rows;
    }
    ASSERT_EQ(runs, expected) << "state " << seed;
    ASSERT_EQ(rows, expected_rows) << "state " << seed;
    ASSERT_EQ(rows, counted) << "state " << seed;
    ASSERT_LE(rows, limits.rows) << "state " << seed;
    if (rows > 0) {
      ASSERT_GE(rows / cost(rows), all_rows / cost(all_rows) * (1 - 1e-12)) << "state " << seed;
    }

    // A candidate that was passed over either runs, or none behind it does.
    for (std::size_t i = 0; i < ordered.size(); ++i) {
      const auto after = std::find_if(candidates.begin(), candidates.end(),
                                      [&](const Candidate& each) { return each.slot == ordered[i].slot; });
      const bool behind = std::any_of(ordered.begin() + static_cast<std::ptrdiff_t>(i) + 1, ordered.end(),
                                      [&](const Candidate& each) { return each.rows > 0 && runs.contains(each.slot); });
      if (ordered[i].passed_over) {
        ASSERT_TRUE(after->runs || !behind) << "state " << seed;
      }
      ASSERT_EQ(after->passed_over, !after->runs && (behind || ordered[i].passed_over)) << "state " << seed;
    }
  }
}

TEST(Choosing, TakesCostsForStraightLinesUntilTheyAreKnown) {
  StepCosts costs;
  EXPECT_TRUE(costs.favours(4, 4, 5, 8));
  EXPECT_FALSE(costs.favours(4, 4, 8, 8));
  costs.add(8, 1);
  EXPECT_TRUE(costs.favours(4, 4, 5, 8));
  costs.add(4, 1);
  EXPECT_FALSE(costs.favours(4, 4, 5, 8));
}

TEST(Choosing, ForgetsCostsSlowly) {
  StepCosts costs;
  costs.add(4, 1);
  for (int i = 0; i < 100; ++i) costs.add(8, 1);
  EXPECT_FALSE(costs.favours(4, 4, 5, 8));
  // A single slow step does not change the costs at once; many do.
  costs.add(8, 2);
  EXPECT_FALSE(costs.favours(4, 4, 5, 8));
  for (int i = 0; i < 100; ++i) costs.add(8, 2);
  EXPECT_TRUE(costs.favours(4, 4, 5, 8));
}

}  // namespace
}  // namespace dpm::test
