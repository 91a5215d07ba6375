// A number for the bits of many values.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace dpm::test {

/// FNV-1a of the values' bytes.
inline std::uint64_t bits_of(const std::vector<float>& values) {
  std::vector<unsigned char> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001B3;
  return hash;
}

}  // namespace dpm::test
