// The value in the middle, which a few measurements that went wrong do not move.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace dpm {

/// Of values, at least one; of an even number the larger one of the two in the middle.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace dpm
