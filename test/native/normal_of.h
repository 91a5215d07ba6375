// One of the normal numbers of a counter.
#pragma once

#include <cstdint>

#include "core/philox.h"

namespace dpm::test {

/// Returns the normal number of an element, from the words of its counter.
inline float normal_of(const PhiloxWords& words, std::uint32_t element) {
  float cosine = 0;
  float sine = 0;
  box_muller(words.word[element % 4 / 2 * 2], words.word[element % 4 / 2 * 2 + 1], &cosine, &sine);
  return element % 2 == 0 ? cosine : sine;
}

}  // namespace dpm::test
