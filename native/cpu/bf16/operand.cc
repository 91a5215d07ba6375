// Floats as bfloat16 terms with the processor's own conversion (AVX512-BF16).
#include <immintrin.h>

#include "cpu/bf16/tiles.h"

namespace dpm::cpu {
namespace isa_avx512 {
void bf16_operand(const Bf16Operand& operand);
}  // namespace isa_avx512

namespace {

/// x * sigmoid(x), relative error below 1e-6 where the result is a normal number.
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

inline __m512 bf16_to_float(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

/// 32 channels of one pixel.
template <bool Normalise, bool Silu, int Terms>
inline void convert(const float* x, const float* a, const float* b, __mmask16 low_mask, __mmask16 high_mask,
                    std::uint16_t* out, std::ptrdiff_t term_stride) {
  __m512 low = _mm512_maskz_loadu_ps(low_mask, x);
  __m512 high = _mm512_maskz_loadu_ps(high_mask, x + 16);
  if constexpr (Normalise) {
    low = _mm512_fmadd_ps(low, _mm512_maskz_loadu_ps(low_mask, a), _mm512_maskz_loadu_ps(low_mask, b));
    high = _mm512_fmadd_ps(high, _mm512_maskz_loadu_ps(high_mask, a + 16), _mm512_maskz_loadu_ps(high_mask, b + 16));
  }
  if constexpr (Silu) {
    low = silu(low);
    high = silu(high);
  }
  const auto first = (__m512i)_mm512_cvtne2ps_pbh(high, low);
  _mm512_storeu_si512(out, first);
  if constexpr (Terms == 2) {
    low = _mm512_sub_ps(low, bf16_to_float(_mm512_castsi512_si256(first)));
    high = _mm512_sub_ps(high, bf16_to_float(_mm512_extracti64x4_epi64(first, 1)));
    _mm512_storeu_si512(out + term_stride, (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
}

template <bool Normalise, bool Silu, int Terms>
void convert_pixels(const Bf16Operand& o) {
  for (int p = 0; p < o.pixels; ++p) {
    const float* x = o.x + p * o.pixel_stride;
    std::uint16_t* out = o.out + p * o.out_pixel_stride;
    for (int first = 0; first < o.channels; first += kBf16Depth, out += o.block_stride) {
      const int left = o.channels - first;
      const std::uint32_t mask = left >= kBf16Depth ? 0xFFFFFFFFU : (1U << left) - 1U;
      const float* a = Normalise ? o.a + first : nullptr;
      const float* b = Normalise ? o.b + first : nullptr;
      convert<Normalise, Silu, Terms>(x + first, a, b, static_cast<__mmask16>(mask),
                                      static_cast<__mmask16>(mask >> 16), out, o.term_stride);
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

void avx512_bf16_operand(const Bf16Operand& o) {
  if (o.channel_stride != 1) {
    isa_avx512::bf16_operand(o);
  } else if (o.terms == 2) {
    convert_all<2>(o);
  } else {
    convert_all<1>(o);
  }
}

}  // namespace dpm::cpu
