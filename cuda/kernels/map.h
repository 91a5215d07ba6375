// Kernels' view of NHWC maps.
#pragma once

#include <cstdint>

namespace dpm::cuda {

/// A map in device memory, or a range of channels of a wider one: element (n, pixel, c) is at data + n * sample_stride
/// + pixel * pixel_stride + c, with strides in elements. `data` is null where a map is absent.
template <typename T>
struct Map {
  T* data;
  std::int64_t pixel_stride;
  std::int64_t sample_stride;
};

}  // namespace dpm::cuda
