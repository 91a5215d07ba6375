// Images to learn from, in memory.
#pragma once

#include <cstdint>
#include <vector>

namespace dpm::training {

/// Images [count, C, H, W], as 8-bit levels or as numbers.
struct Dataset {
  std::uint64_t elements = 0;        ///< elements of an image
  std::uint64_t width = 0;           ///< W
  std::vector<std::uint8_t> levels;  ///< levels u of x = 2 u / 255 - 1; empty: the images are `values`
  std::vector<float> values;
  std::vector<std::int32_t> labels;  ///< label of each image; empty: none
  bool flips = false;                ///< whether half of the images are mirrored, left and right

  [[nodiscard]] std::uint64_t count() const {
    return elements == 0 ? 0 : (levels.empty() ? values.size() : levels.size()) / elements;
  }
  /// Writes an image, mirrored if `flipped`, to `to`.
  void read(std::uint64_t index, bool flipped, float* to) const;
};

/// Returns x = 2 u / 255 - 1.
float value_of_level(std::uint8_t level);

}  // namespace dpm::training
