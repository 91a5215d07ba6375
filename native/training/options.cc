#include "training/options.h"

#include <cmath>

#include "core/error.h"

namespace dpm::training {
namespace {

bool is_fraction(double value) { return value >= 0 && value < 1; }
bool is_positive(double value) { return std::isfinite(value) && value > 0; }

void check_level(const TrainerOptions& options, const Level& level) {
  require(std::isfinite(level.image) && level.image >= 0, "images: a scale is below 0");
  require(std::isfinite(level.noise) && level.noise >= 0, "noises: a scale is below 0");
  require(std::isfinite(level.data_target) && std::isfinite(level.noise_target), "targets have to be finite");
  require(std::isfinite(level.weight) && level.weight >= 0, "weights have to be at least 0");
  if (options.loss == Loss::kPrediction) return;
  require(level.noise > 0, "noises: a scale is not above 0");
  require(options.loss == Loss::kResidual || (level.data_target == 0 && level.noise_target == 1),
          "targets: what else learns beside a prediction has the noise as its target");
  require(level.weight == 1, "weights: samples of this loss weigh all alike");
  if (options.loss != Loss::kHybrid) return;
  const StepBack& step = level.step_back;
  require(std::isfinite(step.low) && std::isfinite(step.high) && std::isfinite(step.mean),
          "stepsBack has to be finite");
  require(std::isfinite(step.variance) && step.variance >= 0, "stepsBack: a variance is below 0");
}

}  // namespace

void check_options(const TrainerOptions& options) {
  require(!options.levels.empty() && options.levels.size() <= 0x7FFFFFFF, "times: there has to be a noise level");
  for (const Level& level : options.levels) check_level(options, level);
  const bool has_own_weights = options.loss == Loss::kPrediction || options.loss == Loss::kHybrid;
  require(options.level_sampling == LevelSampling::kUniform || has_own_weights,
          "levelSampling: the samples of this loss are drawn evenly");
  require(options.label_dropout == 0 || !options.classifies(), "labelDropout: a classifier learns from every label");
  require(options.batch > 0 && options.batch <= 65536, "batch has to be from 1 to 65536");
  require(options.accumulate > 0 && options.accumulate <= 65536, "accumulate has to be from 1 to 65536");
  require(std::isfinite(options.clip) && options.clip >= 0, "clip has to be at least 0");
  require(is_fraction(options.adam.beta1), "beta1 has to be from 0 to below 1");
  require(is_fraction(options.adam.beta2), "beta2 has to be from 0 to below 1");
  require(is_positive(options.adam.epsilon), "epsilon has to be above 0");
  require(std::isfinite(options.adam.decay) && options.adam.decay >= 0, "decay has to be at least 0");
  require(options.label_dropout >= 0 && options.label_dropout <= 1, "labelDropout has to be from 0 to 1");
  require(options.text_dropout >= 0 && options.text_dropout <= 1, "textDropout has to be from 0 to 1");
}

}  // namespace dpm::training
