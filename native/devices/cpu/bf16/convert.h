// Conversion of float32 vectors to bfloat16 terms with the processor's own rounding (AVX512-BF16).
#pragma once

#include <immintrin.h>

#include "devices/cpu/bf16/kernels.h"

namespace dpm::cpu {

/// 32 numbers in two vectors.
struct Pair {
  __m512 low;
  __m512 high;
};

inline __attribute__((always_inline)) __m512i round_pair(const Pair& values) {
  return (__m512i)_mm512_cvtne2ps_pbh(values.high, values.low);
}

/// Returns `values` minus `rounded`.
inline __attribute__((always_inline)) Pair rest_of(const Pair& values, __m512i rounded) {
  const auto exact = [](__m256i half) __attribute__((always_inline)) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  };
  return {_mm512_sub_ps(values.low, exact(_mm512_castsi512_si256(rounded))),
          _mm512_sub_ps(values.high, exact(_mm512_extracti64x4_epi64(rounded, 1)))};
}

/// Loads the first `count` of 32 adjacent floats, with zeros beyond.
inline __attribute__((always_inline)) Pair load_pair(const float* x, int count) {
  const std::uint32_t mask = count >= 32 ? 0xFFFFFFFFU : (1U << count) - 1U;
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), x),
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), x + 16)};
}

}  // namespace dpm::cpu
