// Common part of kernels' tests: random maps in the kernels' storage types, and their numbers as float or double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"
#include "device_vector.h"
#include "emulation.h"
#include "graph_runner.h"

namespace dpm::test {

/// Copies `values` to memory that kernels can access.
template <typename T>
DeviceVector<T> on_device(const std::vector<T>& values) {
  return DeviceVector<T>(values.begin(), values.end());
}

/// Rounds `values` to the storage type.
template <typename T>
DeviceVector<T> stored(const std::vector<float>& values) {
  DeviceVector<T> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), [](float value) { return cuda::from_float<T>(value); });
  return result;
}

template <typename T>
std::vector<float> floats(const DeviceVector<T>& values) {
  std::vector<float> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), [](T value) { return cuda::to_float(value); });
  return result;
}

template <typename T>
double value_of(const T* values, std::int64_t index) {
  return static_cast<double>(cuda::to_float(values[index]));
}

template <typename T>
double value_of(const cuda::Map<T>& map, std::int64_t n, std::int64_t pixel, std::int64_t c) {
  return value_of(map.data, n * map.sample_stride + pixel * map.pixel_stride + c);
}

/// A range of channels of a wider map of random numbers; a test checks that the other channels stay as they are.
template <typename T>
class WideMap {
 public:
  /// Makes a map with `before` and `after` other channels on either side; samples have `gap` unused elements between
  /// them.
  WideMap(RandomValues& random, int batch, int pixels, int channels, int before, int after, int gap = 0)
      : pixel_stride_(before + channels + after), sample_stride_(pixels * pixel_stride_ + gap), first_(before) {
    values_ = stored<T>(random.normals(static_cast<std::size_t>(batch * sample_stride_)));
  }

  [[nodiscard]] cuda::Map<T> map() { return {values_.data() + first_, pixel_stride_, sample_stride_}; }
  [[nodiscard]] cuda::Map<const T> input() const { return {values_.data() + first_, pixel_stride_, sample_stride_}; }

  /// Returns the numbers of the whole wider map, to compare the kernel's result with the expected one, whose elements
  /// `index` finds.
  [[nodiscard]] DeviceVector<T>& values() { return values_; }
  [[nodiscard]] const DeviceVector<T>& values() const { return values_; }
  [[nodiscard]] std::size_t index(std::int64_t n, std::int64_t pixel, std::int64_t c) const {
    return static_cast<std::size_t>(first_ + n * sample_stride_ + pixel * pixel_stride_ + c);
  }

 private:
  std::int64_t pixel_stride_;
  std::int64_t sample_stride_;
  std::int64_t first_;
  DeviceVector<T> values_;
};

/// Makes a wider map whose slice begins at a multiple of `unit` in every pixel, if its channels are one too.
template <typename T>
WideMap<T> random_map(RandomValues& random, int batch, int pixels, int channels, int unit) {
  const int before = random.between(0, 2) * unit;
  const int after = random.between(0, 2) * unit;
  return WideMap<T>(random, batch, pixels, channels, before, after, random.between(0, 2) * unit);
}

/// Makes a map that allows wide accesses or not, at random.
template <typename T>
WideMap<T> random_map(RandomValues& random, int batch, int pixels, int channels) {
  return random_map<T>(random, batch, pixels, channels, random.between(0, 1) == 1 ? 8 : 1);
}

/// Runs `shapes` cases in every order of threads. `Case` is made from a seed, `run()` returns the kernel's result, and
/// `expected_of(case)` the expected one.
template <typename Case>
void check_cases(std::uint32_t shapes, double tolerance) {
  for (std::uint32_t seed = 0; seed < shapes; ++seed) {
    Case test(seed);
    const std::vector<float> expected = expected_of(test);
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      ASSERT_LT(relative_difference(floats(test.run()), expected), tolerance)
          << "shape " << seed << ", order " << order;
    }
  }
}

}  // namespace dpm::test
