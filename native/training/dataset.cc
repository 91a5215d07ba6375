#include "training/dataset.h"

#include <algorithm>

namespace dpm::training {

float value_of_level(std::uint8_t level) { return static_cast<float>(2.0 * level / 255.0 - 1.0); }

void Dataset::read(std::uint64_t index, const View& view, float* to) const {
  const std::uint64_t stride = width + margin;
  for (std::uint64_t line = 0; line < channels * height; ++line, to += width) {
    const std::uint64_t row = line / height * (height + margin) + view.top + line % height;
    const auto first = static_cast<std::ptrdiff_t>(index * stored() + row * stride + view.left);
    const auto last = first + static_cast<std::ptrdiff_t>(width);
    if (levels.empty()) {
      std::copy(values.begin() + first, values.begin() + last, to);
    } else {
      std::transform(levels.begin() + first, levels.begin() + last, to, value_of_level);
    }
    if (view.flips) std::reverse(to, to + width);
  }
}

}  // namespace dpm::training
