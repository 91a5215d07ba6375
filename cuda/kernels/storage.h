// Storage types of numbers in device memory; kernels compute in float32.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/host_device.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace dpm::cuda {

/// An IEEE binary16 number.
struct Half {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};

DPM_HOST_DEVICE float to_float(float value) { return value; }
DPM_HOST_DEVICE float to_float(Bfloat16 value) { return bfloat16_to_float(value.bits); }

/// Returns the nearest finite number of the storage type, ties to even; float32 and bfloat16, which has its range, keep
/// infinities.
template <typename T>
DPM_HOST_DEVICE T from_float(float value);

template <>
DPM_HOST_DEVICE float from_float<float>(float value) {
  return value;
}
/// Limits a number to binary16's largest: one infinity in a map would be NaN everywhere after the next norm. NaN stays
/// NaN.
DPM_HOST_DEVICE float within_half(float value) {
  constexpr float kLargest = 65504.0F;
  if (value > kLargest) return kLargest;
  return value < -kLargest ? -kLargest : value;
}

#if defined(__CUDACC__)
template <>
DPM_HOST_DEVICE Bfloat16 from_float<Bfloat16>(float value) {
  return {__nv_bfloat16_raw(__float2bfloat16_rn(value)).x};
}
DPM_HOST_DEVICE float to_float(Half value) { return __half2float(__half(__half_raw{value.bits})); }
template <>
DPM_HOST_DEVICE Half from_float<Half>(float value) {
  return {__half_raw(__float2half_rn(within_half(value))).x};
}
#else
template <>
DPM_HOST_DEVICE Bfloat16 from_float<Bfloat16>(float value) {
  return {float_to_bfloat16(value)};
}
DPM_HOST_DEVICE float to_float(Half value) { return half_to_float(value.bits); }
template <>
DPM_HOST_DEVICE Half from_float<Half>(float value) {
  return {float_to_half(within_half(value))};
}
#endif

/// Calls `body` with a number of the storage type that `dtype` names.
template <typename Body>
auto with_storage(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kFloat16:
      return body(Half{});
    case DType::kBFloat16:
      return body(Bfloat16{});
    case DType::kFloat32:
      break;
  }
  return body(float{});
}

}  // namespace dpm::cuda
