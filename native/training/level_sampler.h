// Which noise levels a training run learns, and how much each of them weighs.
#pragma once

#include <cstdint>
#include <vector>

namespace dpm::training {

/// How noise levels are drawn.
enum class LevelSampling {
  kUniform,
  /// More often where losses are large: by the root of the mean square of each level's last losses, once all levels
  /// have as many of them (Nichol and Dhariwal 2021, section 3.3).
  kLossSecondMoment,
};

/// A noise level, and the factor of its loss that makes up for how often it is drawn.
struct DrawnLevel {
  std::uint32_t level = 1;
  double weight = 1;
};

/// Draws noise levels, from 1 to their number. What has been learned of losses takes effect with `refresh`, so that all
/// samples of a step are drawn alike.
class LevelSampler {
 public:
  static constexpr std::size_t kLosses = 10;  ///< losses of a level that are remembered
  /// Share of all draws that are even, so that no level is forgotten.
  static constexpr double kEvenShare = 0.001;

  LevelSampler(LevelSampling sampling, std::size_t levels);

  /// Draws by a word of 32 random bits.
  [[nodiscard]] DrawnLevel draw(std::uint32_t word) const;
  /// Notes the loss of a sample of a level, without the weight that it was drawn with.
  void note(std::uint32_t level, double loss);
  void refresh();

  /// Losses [levels, kLosses], the oldest first; -1 where there are none yet. Empty for even draws.
  [[nodiscard]] const std::vector<float>& losses() const { return losses_; }
  /// Replaces the losses. Throws Error(kArgument) for others than those above.
  void set_losses(const std::vector<float>& losses);

 private:
  std::uint32_t levels_;
  std::vector<float> losses_;
  std::vector<double> probabilities_;  ///< empty while draws are even
  std::vector<double> ends_;           ///< sums of probabilities up to each level
};

}  // namespace dpm::training
