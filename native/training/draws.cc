#include "training/draws.h"

#include <algorithm>
#include <bit>

#include "core/philox.h"

namespace dpm::training {
namespace {

constexpr std::uint32_t kOrderDraw = 0xF0;
constexpr std::uint32_t kSampleDraw = 1;
constexpr std::uint32_t kSignDraw = 3;
constexpr std::uint32_t kTextDraw = 4;
constexpr std::uint32_t kRounds = 4;

}  // namespace

std::uint64_t image_at(Seed seed, std::uint64_t count, std::uint32_t epoch, std::uint64_t position) {
  const auto bits = static_cast<std::uint32_t>(std::bit_width(count - 1));
  const std::uint32_t half = (bits + 1) / 2;
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << half) - 1);
  std::uint64_t value = position;
  do {
    auto left = static_cast<std::uint32_t>(value >> half);
    auto right = static_cast<std::uint32_t>(value) & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const PhiloxWords words = philox4x32(right, round, epoch, kOrderDraw, seed.low, seed.high);
      const std::uint32_t mixed = left ^ (words.word[0] & mask);
      left = right;
      right = mixed;
    }
    value = std::uint64_t{left} << half | right;
  } while (value >= count);
  return value;
}

SampleDraw draw_sample(Seed seed, std::uint32_t step, std::uint32_t slot) {
  const PhiloxWords words = philox4x32(0, step, slot, kSampleDraw, seed.low, seed.high);
  SampleDraw draw;
  draw.word = words.word[0];
  draw.flips = (words.word[1] >> 31) != 0;
  draw.uniform = static_cast<double>(words.word[2]) * 0x1p-32;
  draw.top = static_cast<std::uint16_t>(words.word[3] >> 16);
  draw.left = static_cast<std::uint16_t>(words.word[3]);
  return draw;
}

TextDraw draw_text(Seed seed, std::uint32_t step, std::uint32_t slot) {
  const PhiloxWords words = philox4x32(0, step, slot, kTextDraw, seed.low, seed.high);
  return {words.word[0], static_cast<double>(words.word[1]) * 0x1p-32};
}

void draw_signs(Seed seed, std::uint32_t step, std::uint32_t slot, std::uint64_t count, float* to) {
  constexpr std::uint64_t kBits = 32;
  constexpr std::uint64_t kBlock = 4 * kBits;
  for (std::uint64_t first = 0; first < count; first += kBlock) {
    const auto block = static_cast<std::uint32_t>(first / kBlock);
    const PhiloxWords words = philox4x32(block, step, slot, kSignDraw, seed.low, seed.high);
    for (std::uint64_t k = 0; k < std::min(kBlock, count - first); ++k) {
      to[first + k] = (words.word[k / kBits] >> (k % kBits) & 1) != 0 ? 1.0F : -1.0F;
    }
  }
}

}  // namespace dpm::training
