// The kernels that exist once per instruction set, behind one table. Files in this folder are compiled several times:
// they use no standard library templates, whose code the linker would share between instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"

namespace dpm::cpu {

/// Destination and epilogue of the sums of some rows (pixels) and columns (output channels).
struct TileOutput {
  int rows;
  int columns;
  const float* bias;            ///< array [columns], or null
  const float* channel_vector;  ///< array [columns], or null
  const float* residual;        ///< residual with adjacent channels, or null
  std::ptrdiff_t residual_row_stride;
  float scale;
  bool silu;
  float* out;
  std::ptrdiff_t out_row_stride;
  std::ptrdiff_t out_channel_stride;
};

/// A register tile of a product: output.rows x (vectors * width) sums over taps and depth, and its epilogue.
struct TileArguments {
  const float* input;          ///< address of row 0, tap offset 0
  std::ptrdiff_t row_stride;   ///< stride from one row to the next in elements
  const std::ptrdiff_t* taps;  ///< element offset of every tap
  int tap_count;
  int depth;           ///< number of input channels
  const float* panel;  ///< packed weights [tap][depth][vectors * width]
  int vectors;         ///< number of vectors: 1 or 2
  TileOutput output;
};

/// A range of one sample of a fused update. Pointers are to the range's first element; absent tensors are null.
struct UpdateRange {
  const dpm_update_sample* sample;
  float threshold;      ///< threshold of dynamic clipping
  std::uint64_t first;  ///< index of the range in its sample, a multiple of 4
  int count;
  float* x;
  float* y;
  const float* out;
  const float* head;
  const float* guide;
  const float* noise;
  float* history[DPM_MAX_HISTORY];
};

/// A range of a step of the optimiser. Pointers are to the range's first element.
struct OptimizeRange {
  const dpm_optimize* how;
  float* parameters;
  float* gradients;
  float* first_moments;
  float* second_moments;
  float* average;
  int count;
};

/// Output of one 4 x 4 tile of a Winograd convolution. Channels are a multiple of the vector.
struct WinogradOutput {
  const float* products;            ///< array [36][...][channels]
  std::ptrdiff_t component_stride;  ///< stride from one of the 36 products to the next
  int channels;
  const float* bias;            ///< array [channels], or null
  const float* channel_vector;  ///< array [channels], or null
  const float* residual[16];    ///< residual per pixel, or null
  float scale;
  bool silu;
  float* out[16];  ///< output per pixel; null outside the map
};

/// A product of two matrices given row by row, [depth][rows] and [depth][vectors * width], summed over the depth.
struct OuterProduct {
  const float* x;
  std::ptrdiff_t x_stride;  ///< stride from one step of the depth to the next in elements
  const float* y;
  std::ptrdiff_t y_stride;
  int depth;
  int rows;     ///< number of rows of the result, at most IsaKernels::rows
  int vectors;  ///< number of vectors of its columns: 1 or 2
  float* sums;
  std::ptrdiff_t sums_stride;
  bool adds;  ///< the product is added to the sums, in place of replacing them
};

/// The softmax of a row of logits that is given in parts.
struct RunningSoftmax {
  float maximum;  ///< maximum of the logits so far
  float sum;      ///< sum of e^(logit - maximum)
  float factor;   ///< what the last part's maximum makes of numbers that were weighted before it
};

/// Rows of a group norm's derivative, and the per-channel numbers that its passes need. With z = a x + b the norm's
/// result before its SiLU: where asked, `given` is first multiplied by silu'(z) (backward), or the result is (tangent).
struct NormDerivative {
  const float* x;
  std::ptrdiff_t x_stride;
  const float* given;  ///< a cotangent of the result, or a tangent of x
  std::ptrdiff_t given_stride;
  int pixels;
  int channels;
  const float* a;
  const float* b;
  bool silu;
  bool backward;
};

/// Rows of a layer norm's derivative.
struct LayerNormDerivative {
  const float* x;
  std::ptrdiff_t x_stride;
  const float* d;
  std::ptrdiff_t d_stride;
  float* y;
  std::ptrdiff_t y_stride;
  float* products;
  std::ptrdiff_t products_stride;
  int pixels;
  int channels;
  const float* gamma;
  float epsilon;
};

struct Bf16Kernels;

/// Largest number of floats in a vector.
constexpr int kMostWidth = 16;

struct IsaKernels {
  const char* name;
  int width;  ///< number of floats in a vector
  int rows;   ///< maximum of rows of a tile
  int sums;   ///< number of floats that multiply_adds works on

  void (*tile)(const TileArguments& arguments);
  /// Applies the epilogue to rows of sums that lie `sums_stride` floats apart.
  void (*tile_output)(const TileOutput& output, const float* sums, std::ptrdiff_t sums_stride);
  /// Multiplies and adds every one of the table's `sums` floats in registers, `rounds` times, to measure the
  /// processor's maximum rate.
  void (*multiply_adds)(int rounds, float* sums);

  /// Computes G g G^T of 3 x 3 kernels g in double, in lanes of output channels. Kernel `in` of column c begins at
  /// kernels[c] + 9 in; its number i goes to to[i * component_stride + in * columns + c], with vectors * width columns.
  void (*winograd_weights)(const float* const* kernels, int inputs, int vectors, float* to,
                           std::ptrdiff_t component_stride);
  /// Computes the 36 products' operands of one tile from its 6 x 6 pixels; channels are a multiple of the vector.
  void (*winograd_input)(const float* const pixels[36], int channels, float* out, std::ptrdiff_t component_stride);
  void (*winograd_output)(const WinogradOutput& target);
  void (*outer_product)(const OuterProduct& product);
  /// Writes to[column * to_stride + row] = from[row * from_stride + column]; the two must not overlap.
  void (*transpose)(const float* from, std::ptrdiff_t from_stride, int rows, int columns, float* to,
                    std::ptrdiff_t to_stride);
  /// Computes A d A^T of a cotangent's tile of 4 x 4 pixels; channels are a multiple of the vector.
  void (*winograd_cotangent)(const float* const pixels[16], int channels, float* out, std::ptrdiff_t component_stride);
  /// Computes G^T s G of a vector of output channels, s the sum of `parts` sums; taps [9][width].
  void (*winograd_gradient)(const float* sums, std::ptrdiff_t component_stride, int parts, std::ptrdiff_t part_stride,
                            float* taps);

  /// Computes per-channel mean and sum of squared deviations of `pixels` rows.
  void (*channel_statistics)(const float* x, std::ptrdiff_t stride, int pixels, int channels, float* mean,
                             float* deviation);
  /// Computes y = x * a[c] + b[c], then SiLU where asked.
  void (*channel_affine)(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                         int channels, const float* a, const float* b, bool silu);
  /// Computes y = f(x) element by element, f being an activation.
  void (*activation)(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
                     int pixels, int channels);
  /// Computes y = f'(x) d, element by element; f may be SiLU.
  void (*activation_backward)(dpm_activation kind, const float* x, std::ptrdiff_t x_stride, const float* d,
                              std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels);
  /// Computes per-channel sums of `given` (backward: times silu') and of its products with x - mean.
  void (*norm_derivative_sums)(const NormDerivative& arguments, const float* mean, float* sums, float* products);
  /// Computes y = p given + q x + r, with `given` or y times silu' where asked.
  void (*norm_derivative)(const NormDerivative& arguments, const float* p, const float* q, const float* r, float* y,
                          std::ptrdiff_t y_stride);
  void (*add)(const float* a, std::ptrdiff_t a_stride, const float* b, std::ptrdiff_t b_stride, float* y,
              std::ptrdiff_t y_stride, int pixels, int channels);
  /// Normalises the channels of each pixel: y = (x - mean) / sqrt(variance + epsilon) * gamma[c] + beta[c].
  void (*layer_norm)(const float* x, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride, int pixels,
                     int channels, const float* gamma, const float* beta, float epsilon);
  /// Computes the cotangent y of layer_norm's x from d, that of its result; `products` (null: not) = d * (x - mean) /
  /// sqrt(variance + epsilon).
  void (*layer_norm_backward)(const LayerNormDerivative& arguments);
  /// Computes the cotangents of `values` and `gates` of y = value * gelu(gate); the second goes behind the first.
  void (*geglu_backward)(const float* values, const float* gates, std::ptrdiff_t x_stride, const float* d,
                         std::ptrdiff_t d_stride, float* y, std::ptrdiff_t y_stride, int pixels, int channels);
  /// Computes y = value * gelu(gate), element by element.
  void (*geglu)(const float* values, const float* gates, std::ptrdiff_t x_stride, float* y, std::ptrdiff_t y_stride,
                int pixels, int channels);
  /// Turns one more part of a row of logits, scale * row + addend (null: 0), into e^(logit - state.maximum), in place.
  void (*softmax_part)(float* row, int columns, float scale, const float* addend, RunningSoftmax& state);
  /// Computes the softmax of scale * row, in place.
  void (*softmax)(float* row, int columns, float scale);
  /// Turns rows of `factors`, s, beside rows of softmaxes p into scale * p * (s - sum of p s), the sum in double.
  void (*softmax_derivative)(const float* weights, float* factors, std::ptrdiff_t stride, int rows, int columns,
                             float scale);

  void (*update)(const UpdateRange& range);
  /// Computes |x0| before clipping, for the quantile of dynamic clipping.
  void (*absolute_prediction)(const dpm_record& record, const float* in, const float* out, float* result, int count);
  void (*scaled_copy)(const float* source, float scale, float* destination, std::uint64_t count);
  void (*optimize)(const OptimizeRange& range);

  const Bf16Kernels* bf16;  ///< bfloat16 kernels; null where the processor has no instructions for them
};

}  // namespace dpm::cpu
