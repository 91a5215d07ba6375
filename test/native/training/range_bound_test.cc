// Test of the bound's terms of a learned variance: known values, and slopes by differences.
#include "training/range_bound.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dpm::training {
namespace {

StepBack step_of(double variance) { return {std::log(0.01), std::log(0.04), variance, 0.5}; }

TEST(BoundTerm, IsTheDivergenceOfTwoNormals) {
  // At output 0 the variance is the geometric mean of 0.01 and 0.04.
  const double variance = 0.02;
  const double difference = 0.5 * 0.3;
  const double expected = 0.5 * (std::log(variance / 0.015) - 1 + (0.015 + difference * difference) / variance);
  EXPECT_NEAR(bound_term(step_of(0.015), 0.2, 0.3, 0).value, expected, 1e-14);
  EXPECT_NEAR(bound_term({std::log(0.015), std::log(0.04), 0.015, 0.5}, 0.2, 0, -1).value, 0, 1e-14);
}

TEST(BoundTerm, IsTheLogarithmOfALevelsProbabilityAtTheData) {
  const auto distribution = [](double z) {
    return 0.5 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (z + 0.044715 * z * z * z)));
  };
  const double deviation = std::sqrt(0.02);
  const auto bound = [&](double difference) { return distribution(difference / deviation); };
  const double difference = 0.5 * 0.3;
  const double half = 1.0 / 255;
  EXPECT_NEAR(bound_term(step_of(0), 0.2, 0.3, 0).value, -std::log(bound(difference + half) - bound(difference - half)),
              1e-12);
  // The first and the last level are all that is beyond.
  EXPECT_NEAR(bound_term(step_of(0), -1, 0.3, 0).value, -std::log(bound(difference + half)), 1e-12);
  EXPECT_NEAR(bound_term(step_of(0), 1, 0.3, 0).value, -std::log(1 - bound(difference - half)), 1e-12);
  EXPECT_NEAR(bound_term(step_of(0), 0.998, 0.3, 0).value,
              -std::log(bound(difference + half) - bound(difference - half)), 1e-12);
}

TEST(BoundTerm, HasTheSlopeOfItsDifferences) {
  constexpr double kWidth = 1e-5;
  for (const double variance : {0.0, 0.008, 0.02}) {
    for (const double x0 : {-1.0, -0.3, 0.9, 1.0}) {
      for (const double residual : {-0.4, 0.0, 0.25}) {
        for (const double output : {-1.2, 0.0, 0.7}) {
          const StepBack step = step_of(variance);
          const double above = bound_term(step, x0, residual, output + kWidth).value;
          const double below = bound_term(step, x0, residual, output - kWidth).value;
          const double slope = bound_term(step, x0, residual, output).slope;
          EXPECT_NEAR(slope, (above - below) / (2 * kWidth), 1e-6 * (1 + std::abs(slope)))
              << variance << " " << x0 << " " << residual << " " << output;
        }
      }
    }
  }
}

TEST(BoundTerm, IsLimitedWhereALevelIsNextToImpossible) {
  const BoundTerm term = bound_term(step_of(0), 0.2, 40, 0);
  EXPECT_NEAR(term.value, -std::log(1e-12), 1e-9);
  EXPECT_EQ(term.slope, 0);
}

}  // namespace
}  // namespace dpm::training
