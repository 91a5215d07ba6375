// The transform G g G^T of the weights of Winograd convolutions, with the points of winograd.cc. Products and sums are
// rounded one by one (see cmake/cpu_isa.cmake), so that all instruction sets make the same weights.
#include "devices/cpu/isa/functions.h"

namespace dpm::cpu::DPM_ISA_NAMESPACE {
namespace {

/// Half a vector's lanes in double.
using Doubles = double __attribute__((vector_size(kWidth / 2 * sizeof(double))));
using HalfVector = float __attribute__((vector_size(kWidth / 2 * sizeof(float))));

/// Computes one column of G g.
inline __attribute__((always_inline)) void transform(const Doubles g[3], Doubles t[6]) {
  const Doubles first = g[0] * (1.0 / 6);
  const Doubles middle = g[1] * (1.0 / 6);
  const Doubles last = g[2] * (1.0 / 6);
  const Doubles near = g[0] * (1.0 / 24);
  const Doubles far = g[1] * (1.0 / 12);
  t[0] = g[0] * (1.0 / 4);
  t[1] = -((first + middle) + last);
  t[2] = -((first - middle) + last);
  t[3] = (near + far) + last;
  t[4] = (near - far) + last;
  t[5] = g[2];
}

/// Computes G g G^T of half a vector of kernels, whose nine numbers are given, and stores it at `to`.
inline __attribute__((always_inline)) void store_half(const float (*numbers)[kWidth], int first, float* to,
                                                      std::ptrdiff_t component_stride) {
  Doubles rows[6][3];
  for (int x = 0; x < 3; ++x) {
    Doubles g[3];
    for (int y = 0; y < 3; ++y) {
      HalfVector values;
      __builtin_memcpy(&values, numbers[y * 3 + x] + first, sizeof values);
      g[y] = __builtin_convertvector(values, Doubles);
    }
    Doubles t[6];
    transform(g, t);
    for (int y = 0; y < 6; ++y) rows[y][x] = t[y];
  }
  for (int y = 0; y < 6; ++y) {
    Doubles t[6];
    transform(rows[y], t);
    for (int x = 0; x < 6; ++x) {
      const HalfVector values = __builtin_convertvector(t[x], HalfVector);
      __builtin_memcpy(to + (y * 6 + x) * component_stride + first, &values, sizeof values);
    }
  }
}

}  // namespace

void winograd_weights(const float* const* kernels, int inputs, int vectors, float* to,
                      std::ptrdiff_t component_stride) {
  for (int in = 0; in < inputs; ++in) {
    for (int vector = 0; vector < vectors; ++vector, to += kWidth) {
      float numbers[9][kWidth];
      for (int lane = 0; lane < kWidth; ++lane) {
        const float* kernel = kernels[vector * kWidth + lane] + static_cast<std::ptrdiff_t>(in) * 9;
        for (int i = 0; i < 9; ++i) numbers[i][lane] = kernel[i];
      }
      store_half(numbers, 0, to, component_stride);
      store_half(numbers, kWidth / 2, to, component_stride);
    }
  }
}

}  // namespace dpm::cpu::DPM_ISA_NAMESPACE
