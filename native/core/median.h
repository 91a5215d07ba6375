// The median, which a few bad measurements do not move.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace dpm {

/// Returns the median of at least one value; for an even number, the larger of the two in the middle.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace dpm
