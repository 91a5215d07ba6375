// Products and transforms for gradients of weights.
#include "devices/cpu/isa/functions.h"
#include "devices/cpu/isa/row_table.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

/// Adds up the products of a register tile.
struct Accumulate {
  using Function = void (*)(const OuterProduct& p);

  template <int Rows, int Vectors>
  static void run(const OuterProduct& p) {
    Vector sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[r][v] = Vector{};
    }
    const float* x = p.x;
    const float* y = p.y;
    for (int k = 0; k < p.depth; ++k, x += p.x_stride, y += p.y_stride) {
      Vector columns[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) columns[v] = load(y + v * kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) sum[r][v] += x[r] * columns[v];
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        float* to = p.sums + r * p.sums_stride + v * kWidth;
        store(to, p.adds ? load(to) + sum[r][v] : sum[r][v]);
      }
    }
  }
};

/// Computes one column of A d.
inline __attribute__((always_inline)) void transform_cotangent(const Vector d[4], Vector t[6]) {
  const Vector even = d[0] + d[2];
  const Vector odd = d[1] + d[3];
  const Vector far_even = d[0] + 4.0F * d[2];
  const Vector far_odd = 2.0F * d[1] + 8.0F * d[3];
  t[0] = d[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = far_even + far_odd;
  t[4] = far_even - far_odd;
  t[5] = d[3];
}

/// Computes one column of G^T s.
inline __attribute__((always_inline)) void transform_sums(const Vector s[6], Vector t[3]) {
  const Vector near_sum = (s[1] + s[2]) * (1.0F / 6);
  const Vector near_difference = (s[2] - s[1]) * (1.0F / 6);
  const Vector far_sum = s[3] + s[4];
  const Vector far_difference = s[3] - s[4];
  t[0] = s[0] * (1.0F / 4) - near_sum + far_sum * (1.0F / 24);
  t[1] = near_difference + far_difference * (1.0F / 12);
  t[2] = far_sum * (1.0F / 6) - near_sum + s[5];
}

}  // namespace

void outer_product(const OuterProduct& product) { for_rows<Accumulate>(product.rows, product.vectors)(product); }

void winograd_cotangent(const float* const pixels[16], int channels, float* out, std::ptrdiff_t component_stride) {
  for (int c = 0; c < channels; c += kWidth) {
    Vector columns[6][4];
    for (int x = 0; x < 4; ++x) {
      Vector d[4];
      for (int y = 0; y < 4; ++y) d[y] = load(pixels[y * 4 + x] + c);
      Vector t[6];
      transform_cotangent(d, t);
      for (int y = 0; y < 6; ++y) columns[y][x] = t[y];
    }
    for (int y = 0; y < 6; ++y) {
      Vector t[6];
      transform_cotangent(columns[y], t);
      for (int x = 0; x < 6; ++x) store(out + (y * 6 + x) * component_stride + c, t[x]);
    }
  }
}

void winograd_gradient(const float* sums, std::ptrdiff_t component_stride, int parts, std::ptrdiff_t part_stride,
                       float* taps) {
  Vector rows[3][6];
  for (int x = 0; x < 6; ++x) {
    Vector s[6];
    for (int y = 0; y < 6; ++y) {
      const float* from = sums + (y * 6 + x) * component_stride;
      s[y] = load(from);
      for (int part = 1; part < parts; ++part) s[y] += load(from + part * part_stride);
    }
    Vector t[3];
    transform_sums(s, t);
    for (int y = 0; y < 3; ++y) rows[y][x] = t[y];
  }
  for (int y = 0; y < 3; ++y) {
    Vector t[3];
    transform_sums(rows[y], t);
    for (int x = 0; x < 3; ++x) store(taps + (y * 3 + x) * kWidth, t[x]);
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
