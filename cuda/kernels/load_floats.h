// Loads of neighbouring elements of any storage type as float32.
#pragma once

#include <type_traits>

#include "cuda/kernels/storage.h"
#include "cuda/kernels/vector_access.h"

// Unrolling keeps arrays in registers, where every index must be known: nvcc leaves some loops with branches as they
// are.
#if defined(__CUDACC__)
#define DPM_UNROLL _Pragma("unroll")
#else
#define DPM_UNROLL
#endif

namespace dpm::cuda {

template <int N>
struct Floats {
  float value[N];
};

template <int N, typename T>
__device__ Floats<N> to_floats(const Vector<T, N>& vector) {
  Floats<N> result;
  for (int i = 0; i < N; ++i) result.value[i] = to_float(vector.value[i]);
  return result;
}

template <typename T, int N>
__device__ Vector<T, N> from_floats(const Floats<N>& floats) {
  Vector<T, N> result;
#if defined(__CUDACC__)
  // Two conversions at a time are one instruction.
  if constexpr (std::is_same_v<T, Bfloat16> && N % 2 == 0) {
    for (int i = 0; i < N; i += 2) {
      const __nv_bfloat162_raw pair = __floats2bfloat162_rn(floats.value[i], floats.value[i + 1]);
      result.value[i].bits = pair.x;
      result.value[i + 1].bits = pair.y;
    }
    // The `else` avoids a warning: nvcc reports code behind a return.
  } else
#endif
  {
    for (int i = 0; i < N; ++i) result.value[i] = from_float<T>(floats.value[i]);
  }
  return result;
}

/// Loads in accesses of at most 16 bytes: N of a narrower type than float are one access, N floats may be two.
template <int N, typename T>
__device__ Floats<N> load_floats(const T* source) {
  constexpr int kWidth = N < kVectorWidth<T> ? N : kVectorWidth<T>;
  Floats<N> result;
  for (int first = 0; first < N; first += kWidth) {
    const Vector<T, kWidth> vector = load_vector<kWidth>(source + first);
    for (int i = 0; i < kWidth; ++i) result.value[first + i] = to_float(vector.value[i]);
  }
  return result;
}

/// Returns whether `load_floats<N>` may read a row of parameters at every multiple of N; true where it is absent.
template <int N, typename T>
bool takes_floats(const T* parameters) {
  constexpr int kWidth = N < kVectorWidth<T> ? N : kVectorWidth<T>;
  return reinterpret_cast<std::uintptr_t>(parameters) % (sizeof(T) * kWidth) == 0;
}

}  // namespace dpm::cuda
