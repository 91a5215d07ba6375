// Philox4x32-10 for a vector of consecutive counters. Compilers do not find the widening multiplication by themselves:
// they multiply 64-bit lanes, three times slower.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cpu/isa/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dpm::cpu::DPM_ISA_NAMESPACE {

using Words = std::uint32_t __attribute__((vector_size(kWidth * sizeof(std::uint32_t)), may_alias));

struct WideProduct {
  Words low;
  Words high;
};

/// The 64-bit products of a's lanes with `factor`.
static inline WideProduct multiply_wide(Words a, std::uint32_t factor) {
#if defined(__AVX512F__)
  const __m512i x = reinterpret_cast<__m512i>(a);
  const __m512i f = _mm512_set1_epi32(static_cast<int>(factor));
  const __m512i even = _mm512_mul_epu32(x, f);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), f);
  return {reinterpret_cast<Words>(_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32))),
          reinterpret_cast<Words>(_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd))};
#elif defined(__AVX2__)
  const __m256i x = reinterpret_cast<__m256i>(a);
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  const __m256i even = _mm256_mul_epu32(x, f);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), f);
  return {reinterpret_cast<Words>(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA)),
          reinterpret_cast<Words>(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA))};
#elif defined(__x86_64__)
  const __m128i x = reinterpret_cast<__m128i>(a);
  const __m128i f = _mm_set1_epi32(static_cast<int>(factor));
  const __m128i low_lanes = _mm_set_epi32(0, -1, 0, -1);
  const __m128i even = _mm_mul_epu32(x, f);
  const __m128i odd = _mm_mul_epu32(_mm_srli_epi64(x, 32), f);
  return {reinterpret_cast<Words>(_mm_or_si128(_mm_and_si128(even, low_lanes), _mm_slli_epi64(odd, 32))),
          reinterpret_cast<Words>(_mm_or_si128(_mm_srli_epi64(even, 32), _mm_andnot_si128(low_lanes, odd)))};
#elif defined(__aarch64__)
  const uint32x4_t x = reinterpret_cast<uint32x4_t>(a);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x), factor));
  const uint32x4_t second = vreinterpretq_u32_u64(vmull_n_u32(vget_high_u32(x), factor));
  return {reinterpret_cast<Words>(vuzp1q_u32(first, second)), reinterpret_cast<Words>(vuzp2q_u32(first, second))};
#endif
}

/// Vectors drawn together: one alone waits for its own multiplications.
constexpr int kPhiloxVectors = 2;

/// words[i][v] receives word i of the counters counter + v * kWidth, + 1, ...
static inline void philox_vectors(const dpm_update_sample& sample, std::uint32_t counter,
                                  Words words[4][kPhiloxVectors]) {
  constexpr std::uint32_t kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words lanes;
  __builtin_memcpy(&lanes, kLane, sizeof lanes);
  for (int v = 0; v < kPhiloxVectors; ++v) {
    words[0][v] = lanes + (counter + static_cast<std::uint32_t>(v * kWidth));
    words[1][v] = Words{} + sample.record_index;
    words[2][v] = Words{} + sample.sample_index;
    words[3][v] = Words{} + sample.draw;
  }
  std::uint32_t key0 = sample.seed_low;
  std::uint32_t key1 = sample.seed_high;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 2
    for (int v = 0; v < kPhiloxVectors; ++v) {
      const WideProduct first = multiply_wide(words[0][v], 0xD2511F53u);
      const WideProduct second = multiply_wide(words[2][v], 0xCD9E8D57u);
      words[0][v] = second.high ^ words[1][v] ^ key0;
      words[2][v] = first.high ^ words[3][v] ^ key1;
      words[1][v] = second.low;
      words[3][v] = first.low;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
