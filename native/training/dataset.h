// Images to learn from, in memory.
#pragma once

#include <cstdint>
#include <vector>

namespace dpm::training {

/// What an image is seen through: a window of it, mirrored or not.
struct View {
  bool flips = false;     ///< whether it is mirrored, left and right
  std::uint64_t top = 0;  ///< first row of the image
  std::uint64_t left = 0;
};

/// Images [count, C, H + margin, W + margin], as 8-bit levels or as numbers, of which windows of H x W are learned.
struct Dataset {
  std::uint64_t channels = 0;
  std::uint64_t height = 0;
  std::uint64_t width = 0;
  std::uint64_t margin = 0;
  std::vector<std::uint8_t> levels;  ///< levels u of x = 2 u / 255 - 1; empty: the images are `values`
  std::vector<float> values;
  std::vector<std::int32_t> labels;  ///< label of each image; empty: none
  std::vector<std::int32_t> tokens;  ///< ids of tokens, [texts, tokens of a text]; empty: there are no texts
  /// Texts of the images, count + 1: image i has those from first_texts[i] to before first_texts[i + 1].
  std::vector<std::uint32_t> first_texts;
  bool flips = false;  ///< whether half of the images are mirrored, left and right

  /// Elements of a window.
  [[nodiscard]] std::uint64_t elements() const { return channels * height * width; }
  /// Elements of a whole image.
  [[nodiscard]] std::uint64_t stored() const { return channels * (height + margin) * (width + margin); }
  [[nodiscard]] std::uint64_t numbers() const { return levels.empty() ? values.size() : levels.size(); }
  [[nodiscard]] std::uint64_t count() const { return stored() == 0 ? 0 : numbers() / stored(); }
  /// Writes an image as it is seen to `to`.
  void read(std::uint64_t index, const View& view, float* to) const;
};

/// Returns x = 2 u / 255 - 1.
float value_of_level(std::uint8_t level);

}  // namespace dpm::training
