#include "training/level_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "core/error.h"

namespace dpm::training {
namespace {

constexpr float kNone = -1;

double mean_square(std::span<const float> losses) {
  double sum = 0;
  for (const float loss : losses) sum += static_cast<double>(loss) * static_cast<double>(loss);
  return sum / static_cast<double>(losses.size());
}

}  // namespace

LevelSampler::LevelSampler(LevelSampling sampling, std::size_t levels) : levels_(static_cast<std::uint32_t>(levels)) {
  if (sampling == LevelSampling::kLossSecondMoment) losses_.assign(levels * kLosses, kNone);
}

DrawnLevel LevelSampler::draw(std::uint32_t word) const {
  if (probabilities_.empty()) return {1 + static_cast<std::uint32_t>(std::uint64_t{word} * levels_ >> 32), 1};
  const double place = static_cast<double>(word) * 0x1p-32 * ends_.back();
  const auto found = std::ranges::upper_bound(ends_, place);
  const auto index = static_cast<std::size_t>(found - ends_.begin());
  return {static_cast<std::uint32_t>(index + 1), 1 / (levels_ * probabilities_[index])};
}

void LevelSampler::note(std::uint32_t level, double loss) {
  if (losses_.empty()) return;
  const std::span own(losses_.data() + (level - 1) * kLosses, kLosses);
  auto free = std::ranges::find(own, kNone);
  if (free == own.end()) free = std::shift_left(own.begin(), own.end(), 1);
  *free = static_cast<float>(std::min(loss, static_cast<double>(std::numeric_limits<float>::max())));
}

void LevelSampler::refresh() {
  probabilities_.clear();
  ends_.clear();
  if (losses_.empty() || std::ranges::find(losses_, kNone) != losses_.end()) return;
  double sum = 0;
  for (std::size_t level = 0; level < levels_; ++level) {
    probabilities_.push_back(std::sqrt(mean_square({losses_.data() + level * kLosses, kLosses})));
    sum += probabilities_.back();
  }
  double end = 0;
  for (double& probability : probabilities_) {
    // Losses that are all zero say nothing.
    const double own = sum > 0 ? probability / sum : 1.0 / levels_;
    probability = own * (1 - kEvenShare) + kEvenShare / levels_;
    ends_.push_back(end += probability);
  }
}

void LevelSampler::set_losses(const std::vector<float>& losses) {
  require(losses.size() == losses_.size(), "levelLosses: there have to be ten for each level");
  for (std::size_t first = 0; first < losses.size(); first += kLosses) {
    const std::span own(losses.data() + first, kLosses);
    const auto free = std::ranges::find(own, kNone);
    const auto is_loss = [](float loss) { return std::isfinite(loss) && loss >= 0; };
    require(std::ranges::all_of(own.begin(), free, is_loss) &&
                std::ranges::all_of(free, own.end(), [](float loss) { return loss == kNone; }),
            "levelLosses: each is a number from 0 on, or -1 behind the last one of a level");
  }
  losses_ = losses;
  refresh();
}

}  // namespace dpm::training
