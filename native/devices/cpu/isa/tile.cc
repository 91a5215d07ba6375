// Register tile of a matrix product: rows are pixels, columns output channels.
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"
#include "devices/cpu/isa/row_table.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

// Weights come from the second-level cache in one long stream; prefetching this many floats ahead is early enough.
constexpr int kPrefetch = 32 * kWidth;
constexpr int kMostColumns = 32;
static_assert(2 * kWidth <= kMostColumns);

/// Adds up the products of a register tile.
struct Accumulate {
  using Function = void (*)(const TileArguments& t, float* sums, std::ptrdiff_t sums_stride);

  template <int Rows, int Vectors>
  static void run(const TileArguments& t, float* sums, std::ptrdiff_t sums_stride) {
    Vector sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Vector{};
    }
    const float* panel = t.panel;
    const std::ptrdiff_t stride = t.row_stride;
    for (int tap = 0; tap < t.tap_count; ++tap) {
      const float* input = t.input + t.taps[tap];
      for (int k = 0; k < t.depth; ++k, panel += Vectors * kWidth) {
        Vector weights[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
          weights[v] = load(panel + v * kWidth);
          __builtin_prefetch(panel + kPrefetch + v * kWidth);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const float value = input[r * stride + k];
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v) sum[r][v] += value * weights[v];
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) store(sums + r * sums_stride + v * kWidth, sum[r][v]);
    }
  }
};

void finish_row(const TileOutput& t, const float* sums, const float* addend, int row) {
  float values[kMostColumns];
  for (int c = 0; c < t.columns; ++c) values[c] = sums[c] + addend[c];
  if (t.residual != nullptr) {
    const float* residual = t.residual + row * t.residual_row_stride;
    for (int c = 0; c < t.columns; ++c) values[c] += residual[c];
  }
  float* out = t.out + row * t.out_row_stride;
  for (int c = 0; c < t.columns; ++c) {
    const float value = values[c] * t.scale;
    out[c * t.out_channel_stride] = t.silu ? math::silu(value) : value;
  }
}

/// A variant for `Columns` adjacent channels: loops of a known length, which the compiler unrolls into vectors.
template <int Columns>
void finish_whole_row(const TileOutput& t, const float* sums, const float* addend, int row) {
  constexpr int kVectors = Columns / kWidth;
  Vector values[kVectors];
  for (int v = 0; v < kVectors; ++v) values[v] = load(sums + v * kWidth) + load(addend + v * kWidth);
  if (t.residual != nullptr) {
    const float* residual = t.residual + row * t.residual_row_stride;
    for (int v = 0; v < kVectors; ++v) values[v] += load(residual + v * kWidth);
  }
  float* out = t.out + row * t.out_row_stride;
  for (int v = 0; v < kVectors; ++v) store(out + v * kWidth, values[v] * t.scale);
  if (!t.silu) return;
  DPM_ELEMENTWISE
  for (int c = 0; c < Columns; ++c) out[c] = math::silu(out[c]);
}

/// Returns whether the sums are stored unchanged and in their order.
bool is_plain(const TileOutput& t, int width) {
  return t.bias == nullptr && t.channel_vector == nullptr && t.residual == nullptr && t.scale == 1.0F && !t.silu &&
         t.out_channel_stride == 1 && t.columns == width;
}

}  // namespace

void multiply_adds(int rounds, float* sums) {
  Vector sum[kIndependentSums];
  for (int i = 0; i < kIndependentSums; ++i) sum[i] = load(sums + i * kWidth);
  const Vector factor = load(sums);
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (Vector& each : sum) each = each * factor + factor;
  }
  for (int i = 0; i < kIndependentSums; ++i) store(sums + i * kWidth, sum[i]);
}

void tile_output(const TileOutput& t, const float* sums, std::ptrdiff_t sums_stride) {
  float addend[kMostColumns];
  for (int c = 0; c < t.columns; ++c) addend[c] = t.bias != nullptr ? t.bias[c] : 0.0F;
  if (t.channel_vector != nullptr) {
    for (int c = 0; c < t.columns; ++c) addend[c] += t.channel_vector[c];
  }
  auto* finish = finish_row;
  if (t.out_channel_stride == 1 && t.columns == 32) finish = finish_whole_row<32>;
  if (t.out_channel_stride == 1 && t.columns == 16) finish = finish_whole_row<16>;
  for (int r = 0; r < t.rows; ++r) finish(t, sums + r * sums_stride, addend, r);
}

void tile(const TileArguments& t) {
  const Accumulate::Function accumulate_tile = for_rows<Accumulate>(t.output.rows, t.vectors);
  const int width = t.vectors * kWidth;
  if (is_plain(t.output, width)) {
    accumulate_tile(t, t.output.out, t.output.out_row_stride);
    return;
  }
  alignas(64) float sums[kTileRows * 2 * kWidth];
  accumulate_tile(t, sums, width);
  tile_output(t.output, sums, width);
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
