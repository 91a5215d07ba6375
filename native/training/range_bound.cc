#include "training/range_bound.h"

#include <cmath>
#include <numbers>

namespace dpm::training {
namespace {

/// Least probability whose logarithm is taken, and beyond which levels are the first or the last one.
constexpr double kLeastProbability = 1e-12;
constexpr double kLastLevel = 0.999;

constexpr double kCubic = 0.044715;

double distribution(double z) {
  return 0.5 * (1 + std::tanh(std::sqrt(2 * std::numbers::inv_pi) * (z + kCubic * z * z * z)));
}

double density(double z) {
  const double scale = std::sqrt(2 * std::numbers::inv_pi);
  const double tanh = std::tanh(scale * (z + kCubic * z * z * z));
  return 0.5 * (1 - tanh * tanh) * scale * (1 + 3 * kCubic * z * z);
}

/// Takes -ln of a probability, whose derivative by the logarithm of the variance is `slope`.
BoundTerm negative_logarithm(double probability, double slope) {
  if (probability <= kLeastProbability) return {-std::log(kLeastProbability), 0};
  return {-std::log(probability), -slope / probability};
}

BoundTerm decoder_term(double x0, double difference, double log_variance) {
  const double precision = std::exp(-log_variance / 2);
  const double above = precision * (difference + 1.0 / 255);
  const double below = precision * (difference - 1.0 / 255);
  // An end moves by -1/2 of itself for one of the logarithm of the variance.
  const double by_above = -density(above) * above / 2;
  const double by_below = -density(below) * below / 2;
  if (x0 < -kLastLevel) return negative_logarithm(distribution(above), by_above);
  if (x0 > kLastLevel) return negative_logarithm(1 - distribution(below), -by_below);
  return negative_logarithm(distribution(above) - distribution(below), by_above - by_below);
}

BoundTerm posterior_term(double variance, double difference, double log_variance) {
  const double ratio = (variance + difference * difference) * std::exp(-log_variance);
  return {(log_variance - std::log(variance) - 1 + ratio) / 2, (1 - ratio) / 2};
}

}  // namespace

BoundTerm bound_term(const StepBack& step, double x0, double residual, double output) {
  const double share = (output + 1) / 2;
  const double log_variance = share * step.high + (1 - share) * step.low;
  const double difference = step.mean * residual;
  BoundTerm term = step.variance > 0 ? posterior_term(step.variance, difference, log_variance)
                                     : decoder_term(x0, difference, log_variance);
  term.slope *= (step.high - step.low) / 2;
  return term;
}

}  // namespace dpm::training
