// Transforms of the Winograd convolution F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016,
// "Fast algorithms for convolutional neural networks").
#include "core/scalar_math.h"
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

/// Computes one row of B^T d.
inline __attribute__((always_inline)) void transform_input(const Vector d[6], Vector t[6]) {
  const Vector even = d[4] - 4.0F * d[2];
  const Vector odd = d[3] - 4.0F * d[1];
  const Vector near = d[4] - d[2];
  const Vector twice = 2.0F * (d[3] - d[1]);
  t[0] = 4.0F * d[0] - 5.0F * d[2] + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = near + twice;
  t[4] = near - twice;
  t[5] = 4.0F * d[1] - 5.0F * d[3] + d[5];
}

/// Computes one row of A^T m.
inline __attribute__((always_inline)) void transform_output(const Vector m[6], Vector o[4]) {
  const Vector sum = m[1] + m[2];
  const Vector difference = m[1] - m[2];
  const Vector far_sum = m[3] + m[4];
  const Vector far_difference = m[3] - m[4];
  o[0] = m[0] + sum + far_sum;
  o[1] = difference + 2.0F * far_difference;
  o[2] = sum + 4.0F * far_sum;
  o[3] = difference + 8.0F * far_difference + m[5];
}

}  // namespace

void winograd_input(const float* const pixels[36], int channels, float* out, std::ptrdiff_t component_stride) {
  for (int c = 0; c < channels; c += kWidth) {
    Vector columns[6][6];
    for (int x = 0; x < 6; ++x) {
      Vector d[6];
      for (int y = 0; y < 6; ++y) d[y] = load(pixels[y * 6 + x] + c);
      Vector t[6];
      transform_input(d, t);
      for (int y = 0; y < 6; ++y) columns[y][x] = t[y];
    }
    for (int y = 0; y < 6; ++y) {
      Vector t[6];
      transform_input(columns[y], t);
      for (int x = 0; x < 6; ++x) store(out + (y * 6 + x) * component_stride + c, t[x]);
    }
  }
}

void winograd_output(const WinogradOutput& target) {
  for (int c = 0; c < target.channels; c += kWidth) {
    Vector rows[4][6];
    for (int x = 0; x < 6; ++x) {
      Vector m[6];
      for (int y = 0; y < 6; ++y) m[y] = load(target.products + (y * 6 + x) * target.component_stride + c);
      Vector o[4];
      transform_output(m, o);
      for (int y = 0; y < 4; ++y) rows[y][x] = o[y];
    }
    Vector addend = Vector{};
    if (target.bias != nullptr) addend += load(target.bias + c);
    if (target.channel_vector != nullptr) addend += load(target.channel_vector + c);
    for (int y = 0; y < 4; ++y) {
      Vector o[4];
      transform_output(rows[y], o);
      for (int x = 0; x < 4; ++x) {
        float* out = target.out[y * 4 + x];
        if (out == nullptr) continue;
        Vector value = o[x] + addend;
        if (target.residual[y * 4 + x] != nullptr) value += load(target.residual[y * 4 + x] + c);
        value *= target.scale;
        if (target.silu) {
          for (int lane = 0; lane < kWidth; ++lane) value[lane] = math::silu(value[lane]);
        }
        store(out + c, value);
      }
    }
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
