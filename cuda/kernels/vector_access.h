// Accesses to several neighbouring elements at once, 16 bytes where the launcher finds that all of them are aligned.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(DPM_CUDA_EMULATION)
#include <cassert>
#endif

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"

namespace dpm::cuda {

/// Number of elements in 16 bytes.
template <typename T>
constexpr int kVectorWidth = 16 / sizeof(T);

template <typename T, int N>
struct alignas(sizeof(T) * N) Vector {
  T value[N];
};

namespace vector_access {

// Words for copies: a copy of 16-bit elements becomes several accesses, one of words a single one.
template <unsigned Bytes>
struct [[gnu::may_alias]] alignas(Bytes) Words {
  std::uint32_t word[Bytes / sizeof(std::uint32_t)];
};

/// Asserts alignment in the emulation, because the CPU accepts an address that would stop the GPU.
template <typename Words>
__device__ void expect_aligned([[maybe_unused]] const void* address) {
#if defined(DPM_CUDA_EMULATION)
  assert(reinterpret_cast<std::uintptr_t>(address) % alignof(Words) == 0);
#endif
}

}  // namespace vector_access

/// Loads N elements; `source` is aligned for them.
template <int N, typename T>
__device__ Vector<T, N> load_vector(const T* source) {
  if constexpr (N == 1) {
    return {{*source}};
  } else {
    using Words = vector_access::Words<sizeof(Vector<T, N>)>;
    vector_access::expect_aligned<Words>(source);
    const Words words = *reinterpret_cast<const Words*>(source);
    Vector<T, N> result;
    std::memcpy(&result, &words, sizeof result);
    return result;
  }
}

template <int N, typename T>
__device__ void store_vector(T* target, const Vector<T, N>& vector) {
  if constexpr (N == 1) {
    *target = vector.value[0];
  } else {
    using Words = vector_access::Words<sizeof(Vector<T, N>)>;
    vector_access::expect_aligned<Words>(target);
    Words words;
    std::memcpy(&words, &vector, sizeof words);
    *reinterpret_cast<Words*>(target) = words;
  }
}

/// Returns whether N channels at a time are aligned in all pixels of a map; true where it is absent.
template <int N, typename T>
bool takes_vectors(const Map<T>& map, int channels) {
  if (map.data == nullptr) return true;
  return channels % N == 0 && map.pixel_stride % N == 0 && map.sample_stride % N == 0 &&
         reinterpret_cast<std::uintptr_t>(map.data) % (sizeof(T) * N) == 0;
}

/// Returns whether N elements at a time are aligned in all rows of a matrix.
template <int N, typename T>
bool takes_vectors(const T* rows, std::int64_t stride, int columns) {
  return columns % N == 0 && stride % N == 0 && reinterpret_cast<std::uintptr_t>(rows) % (sizeof(T) * N) == 0;
}

}  // namespace dpm::cuda
