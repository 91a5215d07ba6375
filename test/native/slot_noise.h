// The noise of a slot of a training run, one number after the other.
#pragma once

#include <cstdint>

#include "normal_of.h"
#include "training/draws.h"

namespace dpm::test {

/// Returns number `element` of the noise of a slot.
inline double noise_at(training::Seed seed, std::uint32_t step, std::uint32_t slot, std::uint32_t element) {
  return static_cast<double>(normal_of(philox4x32(element / 4, step, slot, 0, seed.low, seed.high), element));
}

}  // namespace dpm::test
