// Philox4x32-10 for vectors of consecutive counters. Compilers do not find the widening multiplication by themselves:
// they multiply 64-bit lanes, three times slower.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "devices/cpu/isa/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace dpm::cpu::DPM_ISA_NAMESPACE {

using Words = std::uint32_t __attribute__((vector_size(kWidth * sizeof(std::uint32_t)), may_alias));

/// Number of vectors drawn together: a single one would wait for its own multiplications.
constexpr int kPhiloxVectors = 2;

/// Returns the numbers of the lanes: 0, 1, ...
static inline Words lane_numbers() {
  constexpr std::uint32_t kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words lanes;
  __builtin_memcpy(&lanes, kLane, sizeof lanes);
  return lanes;
}

#if defined(__x86_64__)

using Wide = std::uint64_t __attribute__((vector_size(kWidth * sizeof(std::uint32_t)), may_alias));

/// Multiplies the low halves of a's lanes by `factor`.
static inline Wide multiply_low(Wide a, std::uint32_t factor) {
  const auto f = static_cast<int>(factor);
#if defined(__AVX512F__)
  return reinterpret_cast<Wide>(_mm512_mul_epu32(reinterpret_cast<__m512i>(a), _mm512_set1_epi32(f)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi32(f)));
#else
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi32(f)));
#endif
}

/// Draws words[i][v], word i of the counters counter + v * kWidth, + 1, ... Even and odd counters go through the rounds
/// in 64-bit lanes of their own, whose upper halves may hold anything, so that products need not be split.
static inline void philox_vectors(const dpm_update_sample& sample, std::uint32_t counter,
                                  Words words[4][kPhiloxVectors]) {
  constexpr int kHalves = 2 * kPhiloxVectors;
  Wide wide[4][kHalves];
  for (int v = 0; v < kHalves; ++v) {
    const auto lanes = reinterpret_cast<Wide>(lane_numbers() + (counter + static_cast<std::uint32_t>(v / 2 * kWidth)));
    wide[0][v] = v % 2 == 0 ? lanes : lanes >> 32;
    wide[1][v] = Wide{} + sample.record_index;
    wide[2][v] = Wide{} + sample.sample_index;
    wide[3][v] = Wide{} + sample.draw;
  }
  std::uint32_t key0 = sample.seed_low;
  std::uint32_t key1 = sample.seed_high;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
    for (int v = 0; v < kHalves; ++v) {
      const Wide first = multiply_low(wide[0][v], 0xD2511F53u);
      const Wide second = multiply_low(wide[2][v], 0xCD9E8D57u);
      wide[0][v] = (second >> 32) ^ wide[1][v] ^ key0;
      wide[2][v] = (first >> 32) ^ wide[3][v] ^ key1;
      wide[1][v] = second;
      wide[3][v] = first;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; ++i) {
    for (int v = 0; v < kPhiloxVectors; ++v) {
      words[i][v] = reinterpret_cast<Words>((wide[i][2 * v] & 0xFFFFFFFFu) | (wide[i][2 * v + 1] << 32));
    }
  }
}

#else

struct WideProduct {
  Words low;
  Words high;
};

/// Computes the 64-bit products of a's lanes and `factor`.
static inline WideProduct multiply_wide(Words a, std::uint32_t factor) {
  const auto x = reinterpret_cast<uint32x4_t>(a);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x), factor));
  const uint32x4_t second = vreinterpretq_u32_u64(vmull_n_u32(vget_high_u32(x), factor));
  return {reinterpret_cast<Words>(vuzp1q_u32(first, second)), reinterpret_cast<Words>(vuzp2q_u32(first, second))};
}

/// Draws words[i][v], word i of the counters counter + v * kWidth, + 1, ...
static inline void philox_vectors(const dpm_update_sample& sample, std::uint32_t counter,
                                  Words words[4][kPhiloxVectors]) {
  for (int v = 0; v < kPhiloxVectors; ++v) {
    words[0][v] = lane_numbers() + (counter + static_cast<std::uint32_t>(v * kWidth));
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

#endif

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
