// Conversion of maps to operands of bfloat16 products, with normalisation where it is asked for.
#include "devices/cpu/bf16/operand.h"

#include "devices/cpu/bf16/convert.h"

namespace dpm::cpu {
namespace {

/// Computes x * sigmoid(x) with a relative error below 1e-6 where the result is a normal number.
inline __m512 silu(__m512 x) {
  const __m512 exponent = _mm512_min_ps(_mm512_set1_ps(126.0F), _mm512_mul_ps(x, _mm512_set1_ps(-1.44269504F)));
  const __m512 whole = _mm512_roundscale_ps(exponent, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 part = _mm512_sub_ps(exponent, whole);
  __m512 power = _mm512_set1_ps(1.54035304e-4F);
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(1.33335581e-3F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(9.61812911e-3F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(5.55041087e-2F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(2.40226507e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(6.93147181e-1F));
  power = _mm512_fmadd_ps(power, part, _mm512_set1_ps(1.0F));
  const __m512 divisor = _mm512_add_ps(_mm512_set1_ps(1.0F), _mm512_scalef_ps(power, whole));
  const __m512 estimate = _mm512_rcp14_ps(divisor);
  const __m512 correction = _mm512_fnmadd_ps(divisor, estimate, _mm512_set1_ps(2.0F));
  return _mm512_mul_ps(x, _mm512_mul_ps(estimate, correction));
}

/// Loads `count` numbers that lie `stride` apart, with zeros beyond up to 32.
Pair gather_pair(const float* x, std::ptrdiff_t stride, int count) {
  alignas(64) float values[kBf16Depth] = {};
  for (int c = 0; c < count && c < kBf16Depth; ++c) values[c] = x[c * stride];
  return load_pair(values, kBf16Depth);
}

template <bool Normalise, bool Silu, int Terms>
void convert_pixels(const Bf16Operand& o) {
  for (int p = 0; p < o.pixels; ++p) {
    const float* x = o.x + p * o.pixel_stride;
    std::uint16_t* out = o.out + p * o.out_pixel_stride;
    for (int first = 0; first < o.channels; first += kBf16Depth, out += o.block_stride) {
      const int left = o.channels - first;
      Pair values = o.channel_stride == 1 ? load_pair(x + first, left)
                                          : gather_pair(x + first * o.channel_stride, o.channel_stride, left);
      if constexpr (Normalise) {
        const Pair a = load_pair(o.a + first, left);
        const Pair b = load_pair(o.b + first, left);
        values = {_mm512_fmadd_ps(values.low, a.low, b.low), _mm512_fmadd_ps(values.high, a.high, b.high)};
      }
      if constexpr (Silu) values = {silu(values.low), silu(values.high)};
      const __m512i rounded = round_pair(values);
      _mm512_storeu_si512(out, rounded);
      if constexpr (Terms == 2) _mm512_storeu_si512(out + o.term_stride, round_pair(rest_of(values, rounded)));
    }
  }
}

template <int Terms>
void convert_all(const Bf16Operand& o) {
  if (o.a == nullptr) {
    convert_pixels<false, false, Terms>(o);
  } else if (o.silu) {
    convert_pixels<true, true, Terms>(o);
  } else {
    convert_pixels<true, false, Terms>(o);
  }
}

}  // namespace

void bf16_operand(const Bf16Operand& o) {
  if (o.terms == 2) {
    convert_all<2>(o);
  } else {
    convert_all<1>(o);
  }
}

}  // namespace dpm::cpu
