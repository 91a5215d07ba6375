// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") and normals from its words.
// Counter-based: the same counter and key give the same integers on every device.
#pragma once

#include <cstdint>

#include "core/fused_multiply_add.h"
#include "core/host_device.h"
#include "core/scalar_math.h"

namespace dpm {

struct PhiloxWords {
  std::uint32_t word[4];
};

DPM_HOST_DEVICE PhiloxWords philox4x32(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
                                       std::uint32_t key0, std::uint32_t key1) {
#if defined(__GNUC__) && !defined(__CUDACC__)
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = static_cast<std::uint64_t>(0xD2511F53u) * c0;
    const std::uint64_t product1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ key0;
    c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ key1;
    c1 = static_cast<std::uint32_t>(product1);
    c3 = static_cast<std::uint32_t>(product0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Computes -ln((word + 0.5) * 2^-32) in float32, with a relative error below 4e-7 near both ends too: near one, the
/// distance to one is taken from the integer, because float32 could not hold it. The polynomial has the least maximum
/// relative error for its degree.
DPM_HOST_DEVICE float negative_log_uniform(std::uint32_t word) {
  constexpr std::int32_t kRootOfHalf = 0x3F3504F3;
  const bool near_one = word >= 0xB504F333u;
  const std::uint32_t distance = word ^ (near_one ? 0xFFFFFFFFu : 0u);
  const float u = math::fused_multiply_add(static_cast<float>(distance), 0x1p-32F, 0x1p-33F);
  const std::int32_t bits = math::float_bits(u) - kRootOfHalf;
  const float mantissa = math::bits_float((bits & 0x007FFFFF) + kRootOfHalf);
  const float exponent = near_one ? 0.0F : static_cast<float>(bits >> 23);
  const float f = near_one ? u : 1.0F - mantissa;
  float p = 0.10082378983497620F;
  p = math::fused_multiply_add(p, f, 0.16180501878261566F);
  p = math::fused_multiply_add(p, f, 0.17243224382400513F);
  p = math::fused_multiply_add(p, f, 0.19906882941722870F);
  p = math::fused_multiply_add(p, f, 0.24971228837966920F);
  p = math::fused_multiply_add(p, f, 0.33334714174270630F);
  p = math::fused_multiply_add(p, f, 0.50000321865081787F);
  return math::fused_multiply_add(exponent, -0.693147180559945F, math::fused_multiply_add(p, f * f, f));
}

/// Two independent standard normals from two words (Box-Muller): r cos(2 pi u1), r sin(2 pi u1) with r =
/// sqrt(-2 ln(u0)). The same bits on every device: each sum is part of a fused_multiply_add().
DPM_HOST_DEVICE void box_muller(std::uint32_t word0, std::uint32_t word1, float* cosine, float* sine) {
  const float radius = __builtin_sqrtf(negative_log_uniform(word0));
  // The radius lacks the root of 2, which the polynomials have: sqrt(2) sin(y / sqrt(2)) and sqrt(2) cos(y / sqrt(2)),
  // with y / sqrt(2) in a quarter turn around 0.
  constexpr float kStep = 5.172196559932729e-10F;
  const auto steps = static_cast<float>(static_cast<std::int32_t>(word1 << 2));
  const float y = math::fused_multiply_add(steps, kStep, 2 * kStep);
  const float z = y * y;
  float s = -2.4394103e-5F;
  s = math::fused_multiply_add(s, z, 2.08304007537663e-3F);
  s = math::fused_multiply_add(s, z, -8.333327621221542e-2F);
  s = math::fused_multiply_add(s * z, y, y);
  float c = -2.402419486e-4F;
  c = math::fused_multiply_add(c, z, 1.4727436937391758e-2F);
  c = math::fused_multiply_add(c, z, -0.3535524606704712F);
  c = math::fused_multiply_add(c, z, 1.4142135381698608F);
  const std::uint32_t turned = word1 + 0x20000000u;
  const bool swap = (turned & 0x40000000u) != 0;
  s *= radius;
  c *= radius;
  *sine = math::negated_by(swap ? c : s, turned);
  *cosine = math::negated_by(swap ? s : c, turned + 0x40000000u);
}

}  // namespace dpm
