// The result of Update.NormalsHaveTheSameBitsEverywhere on every system, instruction set and card: FNV-1a of its bytes.
#pragma once

#include <cstdint>

namespace dpm::test {

constexpr std::uint64_t kNoiseBits = 0x4D2AEEF93F9E5EF2;

}  // namespace dpm::test
