#include "training/dataset.h"

#include <algorithm>

namespace dpm::training {

float value_of_level(std::uint8_t level) { return static_cast<float>(2.0 * level / 255.0 - 1.0); }

void Dataset::read(std::uint64_t index, bool flipped, float* to) const {
  const auto first = static_cast<std::ptrdiff_t>(index * elements);
  const auto last = first + static_cast<std::ptrdiff_t>(elements);
  if (levels.empty()) {
    std::copy(values.begin() + first, values.begin() + last, to);
  } else {
    std::transform(levels.begin() + first, levels.begin() + last, to, value_of_level);
  }
  if (!flipped) return;
  for (float* row = to; row < to + elements; row += width) std::reverse(row, row + width);
}

}  // namespace dpm::training
