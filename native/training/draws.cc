#include "training/draws.h"

#include <bit>

#include "core/philox.h"

namespace dpm::training {
namespace {

constexpr std::uint32_t kOrderDraw = 0xF0;
constexpr std::uint32_t kSampleDraw = 1;
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

SampleDraw draw_sample(Seed seed, std::uint32_t step, std::uint32_t slot, std::uint32_t levels) {
  const PhiloxWords words = philox4x32(0, step, slot, kSampleDraw, seed.low, seed.high);
  SampleDraw draw;
  draw.level = 1 + static_cast<std::uint32_t>(std::uint64_t{words.word[0]} * levels >> 32);
  draw.flips = (words.word[1] >> 31) != 0;
  draw.uniform = static_cast<double>(words.word[2]) * 0x1p-32;
  return draw;
}

}  // namespace dpm::training
