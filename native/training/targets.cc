#include "training/targets.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace dpm::training {
namespace {

bool is_fraction(double value) { return value >= 0 && value < 1; }

}  // namespace

TargetCoefficients target_of(const TrainerOptions& options, std::uint32_t level) {
  switch (options.prediction) {
    case Prediction::kData:
      return {1, 0};
    case Prediction::kVelocity:
      return {-std::sqrt(options.levels.noise[level - 1]), std::sqrt(options.levels.signal[level - 1])};
    default:
      return {0, 1};
  }
}

double weight_of(const TrainerOptions& options, std::uint32_t level) {
  if (options.snr_gamma == 0) return 1;
  const double ratio = options.levels.signal[level - 1] / options.levels.noise[level - 1];
  const double limited = std::min(ratio, options.snr_gamma);
  switch (options.prediction) {
    case Prediction::kData:
      return limited;
    case Prediction::kVelocity:
      return limited / (ratio + 1);
    default:
      return limited / ratio;
  }
}

void check_options(const TrainerOptions& options) {
  const Levels& levels = options.levels;
  require(!levels.times.empty() && levels.times.size() <= 0x7FFFFFFF, "times: there has to be a noise level");
  require(levels.signal.size() == levels.times.size() && levels.noise.size() == levels.times.size(),
          "signal, noise and times have an entry for each noise level");
  const auto is_positive = [](double value) { return std::isfinite(value) && value > 0; };
  require(std::ranges::all_of(levels.signal, is_positive) && std::ranges::all_of(levels.noise, is_positive),
          "signal and noise have to be above 0");
  require(!options.learns_head() || options.prediction == Prediction::kEpsilon,
          "prediction: a head learns beside a prediction of the noise");
  require(!options.learns_head() || options.snr_gamma == 0, "snrGamma: samples of a head weigh all alike");
  require(!options.classifies() || options.snr_gamma == 0, "snrGamma: samples of a classifier weigh all alike");
  require(!options.classifies() || options.label_dropout == 0, "labelDropout: a classifier learns from every label");
  require(options.batch > 0 && options.batch <= 65536, "batch has to be from 1 to 65536");
  require(options.accumulate > 0 && options.accumulate <= 65536, "accumulate has to be from 1 to 65536");
  require(std::isfinite(options.snr_gamma) && options.snr_gamma >= 0, "snrGamma has to be at least 0");
  require(std::isfinite(options.clip) && options.clip >= 0, "clip has to be at least 0");
  require(is_fraction(options.adam.beta1), "beta1 has to be from 0 to below 1");
  require(is_fraction(options.adam.beta2), "beta2 has to be from 0 to below 1");
  require(is_positive(options.adam.epsilon), "epsilon has to be above 0");
  require(std::isfinite(options.adam.decay) && options.adam.decay >= 0, "decay has to be at least 0");
  require(options.label_dropout >= 0 && options.label_dropout <= 1, "labelDropout has to be from 0 to 1");
}

}  // namespace dpm::training
