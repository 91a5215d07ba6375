// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") and normals from its words.
// Counter-based: the same counter and key give the same integers on every device.
#pragma once

#include <cstdint>

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

/// Computes -ln((word + 0.5) * 2^-32) in float32, accurate near both ends: near one, the distance to one is taken from
/// the integer, because float32 could not hold it.
DPM_HOST_DEVICE float negative_log_uniform(std::uint32_t word) {
  const bool near_one = word >= 0xB504F333u;
  const float u = (static_cast<float>(near_one ? ~word : word) + 0.5F) * 0x1p-32F;
  const std::int32_t bits = math::float_bits(u);
  const std::int32_t exponent = (bits - 0x3F3504F3) >> 23;
  const float mantissa = math::bits_float(bits - (exponent << 23));
  const float f = near_one ? -u : mantissa - 1.0F;
  const float e = near_one ? 0.0F : static_cast<float>(exponent);
  return -math::log1p_scaled(f, e);
}

/// Two independent standard normals from two words (Box-Muller): r cos(2 pi u1), r sin(2 pi u1).
DPM_HOST_DEVICE void box_muller(std::uint32_t word0, std::uint32_t word1, float* cosine, float* sine) {
  const float radius = __builtin_sqrtf(2.0F * negative_log_uniform(word0));
  const std::uint32_t quadrant = (word1 + 0x20000000u) >> 30;
  const auto remainder = static_cast<std::int32_t>(word1 - (quadrant << 30));
  const float angle = (static_cast<float>(remainder) + 0.5F) * 1.46291807926715968e-9F;
  const float s = math::sin_quarter(angle);
  const float c = math::cos_quarter(angle);
  const bool swap = (quadrant & 1u) != 0;
  const float sine_value = swap ? c : s;
  const float cosine_value = swap ? s : c;
  *sine = radius * ((quadrant & 2u) != 0 ? -sine_value : sine_value);
  *cosine = radius * (((quadrant + 1u) & 2u) != 0 ? -cosine_value : cosine_value);
}

}  // namespace dpm
