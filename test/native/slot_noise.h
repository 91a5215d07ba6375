// The noise of a slot of a training run, one number after the other.
#pragma once

#include <cstdint>

#include "core/philox.h"
#include "training/draws.h"

namespace dpm::test {

/// Returns number `element` of the noise of a slot.
inline double noise_at(training::Seed seed, std::uint32_t step, std::uint32_t slot, std::uint32_t element) {
  const PhiloxWords words = philox4x32(element / 4, step, slot, 0, seed.low, seed.high);
  float cosine = 0;
  float sine = 0;
  box_muller(words.word[element % 4 / 2 * 2], words.word[element % 4 / 2 * 2 + 1], &cosine, &sine);
  return static_cast<double>(element % 2 == 0 ? cosine : sine);
}

}  // namespace dpm::test
