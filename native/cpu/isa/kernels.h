// The kernels that exist once per instruction set, behind one table. Files in this folder are compiled several times:
// they use no standard library templates, whose code the linker would share between instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"

namespace dpm::cpu {

/// Where the sums of some rows (pixels) and columns (output channels) go, and what happens to them on the way.
struct TileOutput {
  int rows;
  int columns;
  const float* bias;            ///< [columns] or null
  const float* channel_vector;  ///< [columns] or null
  const float* residual;        ///< or null; channels adjacent
  std::ptrdiff_t residual_row_stride;
  float scale;
  bool silu;
  float* out;
  std::ptrdiff_t out_row_stride;
  std::ptrdiff_t out_channel_stride;
};

/// One register tile of a product: output.rows x (vectors * width) sums over taps and depth, and its epilogue.
struct TileArguments {
  const float* input;          ///< row 0, tap offset 0
  std::ptrdiff_t row_stride;   ///< elements from one row to the next
  const std::ptrdiff_t* taps;  ///< element offset of every tap
  int tap_count;
  int depth;           ///< input channels
  const float* panel;  ///< packed weights [tap][depth][vectors * width]
  int vectors;         ///< 1 or 2
  TileOutput output;
};

/// Shape of a product of bfloat16 operands: rows and columns of a tile, numbers of a block of the sum.
constexpr int kBf16Rows = 32;
constexpr int kBf16Columns = 32;
constexpr int kBf16Depth = 32;

/// A float as one bfloat16 number, or as the sum of two: the nearest one and what that leaves, rounded. Pixels in
/// blocks of channels: [block][term][pixel][32], missing channels zero.
struct Bf16Operand {
  const float* x;
  std::ptrdiff_t pixel_stride;
  std::ptrdiff_t channel_stride;
  int pixels;
  int channels;
  const float* a;  ///< null, or [channels]: x * a + b is what is stored
  const float* b;
  bool silu;  ///< with `a`: after it
  int terms;  ///< 1 or 2
  std::uint16_t* out;
  std::ptrdiff_t out_pixel_stride;  ///< elements
  std::ptrdiff_t term_stride;
  std::ptrdiff_t block_stride;
};

/// A matrix that becomes weights of a product of bfloat16 operands, see Bf16Tile::panel; what is missing is zero.
struct Bf16Matrix {
  const float* x;  ///< channels adjacent
  std::ptrdiff_t pixel_stride;
  int pixels;
  int channels;
  int terms;
  std::uint16_t* out;
};

/// A tile of a product of bfloat16 operands with float32 sums. Of two terms each, the product of the low ones is left
/// out: it is below the rounding of the others.
struct Bf16Tile {
  const std::uint16_t* input;  ///< row 0, tap offset 0, of [block][term][row][32]; 32 rows are readable
  std::ptrdiff_t term_stride;
  std::ptrdiff_t block_stride;
  const std::ptrdiff_t* taps;  ///< element offset of every tap
  int tap_count;
  int blocks;
  const std::uint16_t* panel;  ///< [block][tap][term][2 groups of columns][16 pairs of channels][16 columns][2]
  int terms;
  int rows;  ///< at most 32 are wanted
  /// Weights wanted next, and how many cache lines of them to ask for with every block and tap.
  const std::uint16_t* next;
  int next_lines;
  float* sums;  ///< [32][32]; rows beyond `rows` are unspecified
  std::ptrdiff_t sums_stride;  ///< elements from row to row
};

/// A range of one sample of a fused update. Pointers are to the range's first element; absent tensors are null.
struct UpdateRange {
  const dpm_update_sample* sample;
  float threshold;      ///< of dynamic clipping
  std::uint64_t first;  ///< index of the range in its sample, a multiple of 4
  int count;
  float* x;
  float* y;
  const float* out;
  const float* head;
  const float* noise;
  float* history[DPM_MAX_HISTORY];
};

/// One 4 x 4 tile of a Winograd convolution on its way out. Channels are a multiple of the vector.
struct WinogradOutput {
  const float* products;            ///< [36][...][channels]
  std::ptrdiff_t component_stride;  ///< from one of the 36 products to the next
  int channels;
  const float* bias;            ///< [channels] or null
  const float* channel_vector;  ///< [channels] or null
  const float* residual[16];    ///< per pixel, or null
  float scale;
  bool silu;
  float* out[16];  ///< per pixel; null outside the map
};

struct IsaKernels {
  const char* name;
  int width;  ///< floats in a vector
  int rows;   ///< most rows of a tile
  int sums;   ///< floats that multiply_adds works on

  void (*tile)(const TileArguments& arguments);
  /// Finishes rows of sums that lie `sums_stride` floats apart.
  void (*tile_output)(const TileOutput& output, const float* sums, std::ptrdiff_t sums_stride);
  void (*bf16_operand)(const Bf16Operand& operand);
  /// A panel whose columns are the (at most 32) pixels of `matrix`, its sum over channels.
  void (*bf16_pixel_columns)(const Bf16Matrix& matrix);
  /// A panel whose columns are the (at most 32) channels of `matrix`, its sum over pixels.
  void (*bf16_channel_columns)(const Bf16Matrix& matrix);
  void (*bf16_tile)(const Bf16Tile& tile);
  /// Around a thread's calls of bf16_tile; null where nothing is to be done.
  void (*bf16_begin)();
  void (*bf16_end)();
  /// Whether products of two bfloat16 terms are faster than float32 ones.
  bool bf16_beats_float;
  /// Multiplies and adds every one of the table's `sums` floats in registers, `rounds` times: what the processor can do
  /// at most.
  void (*multiply_adds)(int rounds, float* sums);

  /// The 36 products' operands of one tile from its 6 x 6 pixels; channels are a multiple of the vector.
  void (*winograd_input)(const float* const pixels[36], int channels, float* out, std::ptrdiff_t component_stride);
  void (*winograd_output)(const WinogradOutput& target);

  /// Per-channel mean and sum of squared deviations of `pixels` rows.
  void (*channel_statistics)(const float* x, std::ptrdiff_t stride, int pixels, int channels, float* mean,
                             float* deviation);
  /// y = x * a[c] + b[c], then SiLU where asked.
  void (*channel_affine)(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                         int channels, const float* a, const float* b, bool silu);
  void (*add)(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
              std::ptrdiff_t y_stride, int pixels, int channels);
  /// Softmax of scale * row, in place.
  void (*softmax)(float* row, int columns, float scale);

  void (*update)(const UpdateRange& range);
  /// |x0| before clipping, for the quantile of dynamic clipping.
  void (*absolute_prediction)(const dpm_record& record, const float* in, const float* out, float* result, int count);
  void (*scaled_copy)(const float* source, float scale, float* destination, std::uint64_t count);
};

}  // namespace dpm::cpu
