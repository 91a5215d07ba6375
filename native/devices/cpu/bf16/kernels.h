// Products of bfloat16 numbers, on processors that have instructions for them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dpm::cpu {

/// Shape of a product of bfloat16 operands: rows and columns of a tile, and the block size of the sum's depth.
constexpr int kBf16Rows = 32;
constexpr int kBf16Columns = 32;
constexpr int kBf16Depth = 32;

/// An operand whose floats are each stored as one bfloat16 number, or as the sum of two: the nearest one and the
/// rounded remainder. Its pixels lie in blocks of channels, [block][term][pixel][32], with zeros for missing channels.
struct Bf16Operand {
  const float* x;
  std::ptrdiff_t pixel_stride;
  std::ptrdiff_t channel_stride;
  int pixels;
  int channels;
  const float* a;  ///< null, or [channels]: x * a + b is stored instead of x
  const float* b;
  bool silu;  ///< SiLU is applied after x * a + b
  int terms;  ///< number of terms: 1 or 2
  std::uint16_t* out;
  std::ptrdiff_t out_pixel_stride;  ///< stride in elements
  std::ptrdiff_t term_stride;
  std::ptrdiff_t block_stride;
};

/// A matrix to be packed as weights of a product of bfloat16 operands, see Bf16Tile::panel; missing numbers are zero.
struct Bf16Matrix {
  const float* x;  ///< channels adjacent
  std::ptrdiff_t pixel_stride;
  int pixels;
  int channels;
  int terms;
  std::uint16_t* out;
};

/// A tile of a product of bfloat16 operands with float32 sums. With two terms each, the product of the low terms is
/// left out, because it is below the rounding of the others.
struct Bf16Tile {
  const std::uint16_t* input;  ///< address of row 0, tap offset 0, in [block][term][row][32]; 32 rows are readable
  std::ptrdiff_t term_stride;
  std::ptrdiff_t block_stride;
  const std::ptrdiff_t* taps;  ///< element offset of every tap
  int tap_count;
  int blocks;
  const std::uint16_t* panel;  ///< [block][tap][term][2 groups of columns][16 pairs of channels][16 columns][2]
  int terms;
  int rows;  ///< number of wanted rows, at most 32
  /// Address of the weights wanted next, and the number of their cache lines to prefetch with every block and tap.
  const std::uint16_t* next;
  int next_lines;
  float* sums;                 ///< [32][32]; rows beyond `rows` are unspecified
  std::ptrdiff_t sums_stride;  ///< stride from row to row in elements
};

struct Bf16Kernels {
  void (*operand)(const Bf16Operand& operand);
  /// Packs a panel whose columns are the (at most 32) pixels of `matrix`, for sums over channels.
  void (*pixel_columns)(const Bf16Matrix& matrix);
  /// Packs a panel whose columns are the (at most 32) channels of `matrix`, for sums over pixels.
  void (*channel_columns)(const Bf16Matrix& matrix);
  void (*tile)(const Bf16Tile& tile);
  /// `begin` comes before a thread's calls of `tile`, `end` after them.
  void (*begin)();
  void (*end)();
  /// Tells whether products of two terms are faster than those of float32 numbers.
  bool beats_float;
};

/// Kernels with the dot product of pairs of AVX512-BF16.
extern const Bf16Kernels kAvx512Bf16Kernels;
/// Kernels with the matrix unit AMX.
extern const Bf16Kernels kAmxKernels;

}  // namespace dpm::cpu
