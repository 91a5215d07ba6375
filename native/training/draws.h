// The random draws of a training run: each is a function of the seed, the step and the place in its batch, so that a
// run goes on from any step as if it had never stopped. Words are those of Philox4x32-10 with the seed as the key.
#pragma once

#include <cstdint>

namespace dpm::training {

/// Key of a run's draws.
struct Seed {
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  static Seed of(std::uint64_t seed) {
    return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  }
};

/// Returns the image that stands at `position` in an epoch over `count` images: each stands there once. A Feistel
/// network of four rounds, walked until its value is below `count` (Black and Rogaway 2002), so that no order is kept.
std::uint64_t image_at(Seed seed, std::uint64_t count, std::uint32_t epoch, std::uint64_t position);

/// What is drawn for the sample of a slot in a step.
struct SampleDraw {
  std::uint32_t word = 0;  ///< random bits that say which noise level it has (LevelSampler)
  bool flips = false;      ///< whether the image is mirrored, half of the time
  double uniform = 0;      ///< number in [0, 1), by which labels are dropped
  std::uint16_t top = 0;   ///< number that says where the window of the image is, and `left`
  std::uint16_t left = 0;
};

/// Draws for slot `slot` of step `step`: the words of counter (0, step, slot, 1).
SampleDraw draw_sample(Seed seed, std::uint32_t step, std::uint32_t slot);

/// What is drawn of the texts of a sample.
struct TextDraw {
  std::uint32_t word = 0;  ///< random bits that say which of its image's texts it has
  double uniform = 0;      ///< number in [0, 1), by which texts are dropped

  /// Returns the text, one of `count`, all as likely.
  [[nodiscard]] std::uint32_t text(std::uint32_t count) const {
    return static_cast<std::uint32_t>(std::uint64_t{word} * count >> 32);
  }
};

/// Draws for slot `slot` of step `step`: the first two words of counter (0, step, slot, 4).
TextDraw draw_text(Seed seed, std::uint32_t step, std::uint32_t slot);

/// Draws `count` signs, -1 or 1, for slot `slot` of step `step`: of element e bit e mod 32 of word (e mod 128) / 32 of
/// counter (e / 128, step, slot, 3).
void draw_signs(Seed seed, std::uint32_t step, std::uint32_t slot, std::uint64_t count, float* to);

}  // namespace dpm::training
