// The tile of a bfloat16 product with the dot product of pairs of AVX-512 (AVX512-BF16).
#include <immintrin.h>

#include "devices/cpu/bf16/operand.h"

namespace dpm::cpu {
namespace {

constexpr int kPairs = kBf16Depth / 2;
constexpr std::ptrdiff_t kGroup = 16 * kBf16Depth;

template <int Rows>
void multiply_rows(const Bf16Tile& t, int first) {
  __m512 sum[Rows][2];
  for (int r = 0; r < Rows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  const std::uint16_t* panel = t.panel;
  for (int block = 0; block < t.blocks; ++block) {
    for (int tap = 0; tap < t.tap_count; ++tap, panel += t.terms * 2 * kGroup) {
      const std::uint16_t* input = t.input + block * t.block_stride + t.taps[tap] + first * kBf16Depth;
      // products in order: high x high, high x low, low x high
      for (int product = 0; product < 2 * t.terms - 1; ++product) {
        const std::uint16_t* rows = input + (product == 2 ? t.term_stride : 0);
        const std::uint16_t* weights = panel + (product == 1 ? 2 * kGroup : 0);
        for (int pair = 0; pair < kPairs; ++pair) {
          const __m512i left = _mm512_loadu_si512(weights + static_cast<std::ptrdiff_t>(pair) * 32);
          const __m512i right = _mm512_loadu_si512(weights + kGroup + static_cast<std::ptrdiff_t>(pair) * 32);
          for (int r = 0; r < Rows; ++r) {
            int values = 0;
            __builtin_memcpy(&values, rows + r * kBf16Depth + 2 * pair, sizeof values);
            const __m512i both = _mm512_set1_epi32(values);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], (__m512bh)both, (__m512bh)left);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], (__m512bh)both, (__m512bh)right);
          }
        }
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    _mm512_storeu_ps(t.sums + (first + r) * t.sums_stride, sum[r][0]);
    _mm512_storeu_ps(t.sums + (first + r) * t.sums_stride + 16, sum[r][1]);
  }
}

void tile(const Bf16Tile& t) {
  int first = 0;
  for (; t.rows - first > 8; first += 12) multiply_rows<12>(t, first);
  for (; first < t.rows; first += 4) multiply_rows<4>(t, first);
}

void nothing() {}

}  // namespace

const Bf16Kernels kAvx512Bf16Kernels = {bf16_operand, bf16_pixel_columns, bf16_channel_columns, tile, nothing, nothing,
                                        false};

}  // namespace dpm::cpu
