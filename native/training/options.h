// What a training run is told once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network.h"
#include "engine/parameters.h"

namespace dpm::training {

/// What the network's output means, and so the target of its loss.
enum class Prediction {
  kEpsilon,   ///< the noise
  kData,      ///< the image x0
  kVelocity,  ///< sqrt(A) noise - sqrt(B) x0 (Salimans and Ho 2022)
};

/// What is learned.
enum class Loss {
  kPrediction,  ///< the output, which is to be what `Prediction` says
  // The second output of a network that predicts the noise (Bao et al. 2022).
  kResidual,  ///< expectation of the squared error of the predicted noise (NPR-DPM)
  kNoise,     ///< expectation of the squared noise (SN-DPM)
  /// B_n times the diagonal of the Hessian of ln q(x_n) (OCM-DPM, Ou et al. 2024)
  kCurvature,
  /// The classes of noised images: the cross entropy of logits, the only output.
  kCrossEntropy,
};

/// Noise levels n = 1, 2, ...: x_n = sqrt(A_n) x0 + sqrt(B_n) noise. All three have an entry for each.
struct Levels {
  std::vector<double> signal;  ///< A_n
  std::vector<double> noise;   ///< B_n
  std::vector<float> times;    ///< time that the network is given
};

struct TrainerOptions {
  Levels levels;
  Loss loss = Loss::kPrediction;
  Prediction prediction = Prediction::kEpsilon;
  /// Gamma of min-SNR weights (Hang et al. 2023): min(SNR, gamma) of the loss of x0, SNR = A/B, divided by SNR for
  /// noise and by SNR + 1 for velocity. 0: every weight is 1.
  double snr_gamma = 0;
  std::uint32_t batch = 1;       ///< samples of an evaluation
  std::uint32_t accumulate = 1;  ///< evaluations of a step
  double clip = 0;               ///< largest L2 norm of the gradients; 0: no limit
  AdamOptions adam;
  std::uint64_t seed = 0;
  double label_dropout = 0;      ///< probability that a label is replaced by `null_label`
  std::int32_t null_label = -1;  ///< label of no class
  graph::Recompute recompute = graph::Recompute::kNorms;

  [[nodiscard]] std::uint64_t samples() const { return std::uint64_t{batch} * accumulate; }
  [[nodiscard]] bool learns_head() const { return loss != Loss::kPrediction && !classifies(); }
  [[nodiscard]] bool classifies() const { return loss == Loss::kCrossEntropy; }
};

}  // namespace dpm::training
