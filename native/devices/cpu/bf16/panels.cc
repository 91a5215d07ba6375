// Conversion of maps to weights of bfloat16 products: the keys and values of attention.
#include <cstring>

#include "devices/cpu/bf16/convert.h"
#include "devices/cpu/bf16/operand.h"

namespace dpm::cpu {
namespace {

constexpr int kGroup = 16;
constexpr int kPairs = kBf16Depth / 2;
constexpr std::ptrdiff_t kTile = std::ptrdiff_t{kBf16Columns} * kBf16Depth;

/// Stores one column of a tile: 16 pairs, each 16 columns after the one before.
void store_column(__m512i pairs, std::uint16_t* tile, int column) {
  alignas(64) std::uint32_t words[kPairs];
  _mm512_store_si512(words, pairs);
  std::uint16_t* to = tile + column / kGroup * kGroup * kBf16Depth + column % kGroup * 2;
  for (int pair = 0; pair < kPairs; ++pair) std::memcpy(to + pair * 2 * kGroup, words + pair, sizeof words[pair]);
}

/// Stores two rows of a tile, pixels 2 * pair and 2 * pair + 1, interleaved.
void store_rows(__m512i even, __m512i odd, std::uint16_t* tile, int pair) {
  const auto interleave = [](__m256i low, __m256i high) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
  };
  std::uint16_t* to = tile + static_cast<std::ptrdiff_t>(pair) * 2 * kGroup;
  _mm512_storeu_si512(to, interleave(_mm512_castsi512_si256(even), _mm512_castsi512_si256(odd)));
  _mm512_storeu_si512(to + kTile / 2,
                      interleave(_mm512_extracti64x4_epi64(even, 1), _mm512_extracti64x4_epi64(odd, 1)));
}

}  // namespace

void bf16_pixel_columns(const Bf16Matrix& m) {
  std::uint16_t* tile = m.out;
  for (int first = 0; first < m.channels; first += kBf16Depth) {
    for (int column = 0; column < kBf16Columns; ++column) {
      const int count = column < m.pixels ? m.channels - first : 0;
      const Pair values = load_pair(count > 0 ? m.x + column * m.pixel_stride + first : m.x, count);
      const __m512i rounded = round_pair(values);
      store_column(rounded, tile, column);
      if (m.terms == 2) store_column(round_pair(rest_of(values, rounded)), tile + kTile, column);
    }
    tile += m.terms * kTile;
  }
}

void bf16_channel_columns(const Bf16Matrix& m) {
  std::uint16_t* tile = m.out;
  for (int first = 0; first < m.pixels; first += kBf16Depth) {
    for (int pair = 0; pair < kPairs; ++pair) {
      const auto row = [&](int pixel) {
        return load_pair(pixel < m.pixels ? m.x + pixel * m.pixel_stride : m.x, pixel < m.pixels ? m.channels : 0);
      };
      const Pair even = row(first + 2 * pair);
      const Pair odd = row(first + 2 * pair + 1);
      const __m512i even_rounded = round_pair(even);
      const __m512i odd_rounded = round_pair(odd);
      store_rows(even_rounded, odd_rounded, tile, pair);
      if (m.terms == 2) {
        store_rows(round_pair(rest_of(even, even_rounded)), round_pair(rest_of(odd, odd_rounded)), tile + kTile, pair);
      }
    }
    tile += m.terms * kTile;
  }
}

}  // namespace dpm::cpu
