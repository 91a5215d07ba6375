// What a training run is told once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network.h"
#include "engine/parameters.h"
#include "training/level_sampler.h"
#include "training/range_bound.h"

namespace dpm::training {

/// What is learned.
enum class Loss {
  kPrediction,  ///< the output
  kHybrid,      ///< the predicted noise, and the variance behind it (Nichol and Dhariwal 2021)
  // The second output of a network (Bao et al. 2022).
  kResidual,  ///< expectation of the squared error of the output, the predicted noise or another (NPR-DPM)
  kNoise,     ///< expectation of the squared noise, which the network predicts (SN-DPM)
  /// B_n times the diagonal of the Hessian of ln q(x_n) (OCM-DPM, Ou et al. 2024)
  kCurvature,
  /// The classes of noised images: the cross entropy of logits, the only output.
  kCrossEntropy,
};

/// A noise level: the network sees image x0 + noise eps at a time, and its output is to be data_target x0 +
/// noise_target eps.
struct Level {
  double image = 1;
  double noise = 0;
  double data_target = 0;
  double noise_target = 1;
  double weight = 1;  ///< factor of the loss
  float time = 0;
  StepBack step_back = {};  ///< for Loss::kHybrid
};

struct TrainerOptions {
  std::vector<Level> levels;  ///< noise levels n = 1, 2, ...
  LevelSampling level_sampling = LevelSampling::kUniform;
  Loss loss = Loss::kPrediction;
  std::uint32_t batch = 1;       ///< samples of an evaluation
  std::uint32_t accumulate = 1;  ///< evaluations of a step
  double clip = 0;               ///< largest L2 norm of the gradients; 0: no limit
  AdamOptions adam;
  std::uint64_t seed = 0;
  double label_dropout = 0;               ///< probability that a label is replaced by `null_label`
  std::int32_t null_label = -1;           ///< label of no class
  double text_dropout = 0;                ///< probability that a text is replaced by `null_tokens`
  std::vector<std::int32_t> null_tokens;  ///< ids of the text that stands for none; empty: there is none
  graph::Recompute recompute = graph::Recompute::kNorms;

  [[nodiscard]] std::uint64_t samples() const { return std::uint64_t{batch} * accumulate; }
  [[nodiscard]] bool learns_head() const {
    return loss == Loss::kResidual || loss == Loss::kNoise || loss == Loss::kCurvature;
  }
  /// Whether the device makes the cotangents from targets.
  [[nodiscard]] bool is_square() const { return loss == Loss::kPrediction || learns_head(); }
  [[nodiscard]] bool classifies() const { return loss == Loss::kCrossEntropy; }
};

/// Throws Error(kArgument) naming the option that is out of range.
void check_options(const TrainerOptions& options);

}  // namespace dpm::training
