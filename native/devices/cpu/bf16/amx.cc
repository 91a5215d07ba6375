// The tile of a bfloat16 product on Intel's matrix unit (AMX): 16 x 32 by 32 x 16 numbers an instruction.
#include <immintrin.h>

#include "devices/cpu/bf16/operand.h"

namespace dpm::cpu {
namespace {

constexpr int kTileBytes = 1024;
constexpr int kRowBytes = 64;
constexpr std::ptrdiff_t kHalfRows = 16 * kBf16Depth;
constexpr std::ptrdiff_t kHalfPanel = kTileBytes / 2;
constexpr int kLine = 32;

struct TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {kRowBytes, kRowBytes, kRowBytes, kRowBytes,
                                 kRowBytes, kRowBytes, kRowBytes, kRowBytes};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);
alignas(64) constexpr TileConfiguration kConfiguration;

// Tiles 0 to 3 hold sums, 4 and 5 rows of the input, 6 and 7 columns of the weights. The numbers of tiles are part of
// the instruction, so other libraries use macros; here functions with constant numbers are enough.
inline void load_rows(const std::uint16_t* input) {
  _tile_loadd(4, input, kRowBytes);
  _tile_loadd(5, input + kHalfRows, kRowBytes);
}
inline void load_columns(const std::uint16_t* panel) {
  _tile_loadd(6, panel, kRowBytes);
  _tile_loadd(7, panel + kHalfPanel, kRowBytes);
}
inline void multiply_all() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}
inline void multiply_half() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
}

/// Prefetches the next `lines` cache lines.
inline const std::uint16_t* prefetch(const std::uint16_t* next, int lines) {
  for (int i = 0; i < lines; ++i) _mm_prefetch(next + static_cast<std::ptrdiff_t>(i) * kLine, _MM_HINT_T0);
  return next + static_cast<std::ptrdiff_t>(lines) * kLine;
}

void multiply_two_halves(const Bf16Tile& t) {
  const std::uint16_t* panel = t.panel;
  const std::uint16_t* next = t.next;
  for (int block = 0; block < t.blocks; ++block) {
    const std::uint16_t* rows = t.input + block * t.block_stride;
    for (int tap = 0; tap < t.tap_count; ++tap) {
      const std::uint16_t* input = rows + t.taps[tap];
      next = prefetch(next, t.next_lines);
      load_rows(input);
      if (t.terms == 2) {
        load_columns(panel + 2 * kHalfPanel);
        multiply_all();
      }
      load_columns(panel);
      multiply_all();
      if (t.terms == 2) {
        load_rows(input + t.term_stride);
        multiply_all();
      }
      panel += static_cast<std::ptrdiff_t>(t.terms) * 2 * kHalfPanel;
    }
  }
}

void multiply_one_half(const Bf16Tile& t) {
  const std::uint16_t* panel = t.panel;
  const std::uint16_t* next = t.next;
  for (int block = 0; block < t.blocks; ++block) {
    const std::uint16_t* rows = t.input + block * t.block_stride;
    for (int tap = 0; tap < t.tap_count; ++tap) {
      const std::uint16_t* input = rows + t.taps[tap];
      next = prefetch(next, t.next_lines);
      _tile_loadd(4, input, kRowBytes);
      if (t.terms == 2) {
        load_columns(panel + 2 * kHalfPanel);
        multiply_half();
      }
      load_columns(panel);
      multiply_half();
      if (t.terms == 2) {
        _tile_loadd(4, input + t.term_stride, kRowBytes);
        multiply_half();
      }
      panel += static_cast<std::ptrdiff_t>(t.terms) * 2 * kHalfPanel;
    }
  }
}

void begin() { _tile_loadconfig(&kConfiguration); }

void end() { _tile_release(); }

void tile(const Bf16Tile& t) {
  const std::ptrdiff_t sum_bytes = t.sums_stride * static_cast<std::ptrdiff_t>(sizeof(float));
  _tile_zero(0);
  _tile_zero(1);
  if (t.rows <= 16) {
    multiply_one_half(t);
  } else {
    _tile_zero(2);
    _tile_zero(3);
    multiply_two_halves(t);
    _tile_stored(2, t.sums + 16 * t.sums_stride, sum_bytes);
    _tile_stored(3, t.sums + 16 * t.sums_stride + 16, sum_bytes);
  }
  _tile_stored(0, t.sums, sum_bytes);
  _tile_stored(1, t.sums + 16, sum_bytes);
}

}  // namespace

const Bf16Kernels kAmxKernels = {bf16_operand, bf16_pixel_columns, bf16_channel_columns, tile, begin, end, true};

}  // namespace dpm::cpu
