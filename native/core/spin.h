// Waiting without yielding the processor: waking a sleeping thread costs more than a small piece of work.
#pragma once

#include <chrono>

#include "platform/processor.h"

namespace dpm {

/// Time that bridges the gap between two layers or two calls, but leaves the core to others when the engine idles.
constexpr std::chrono::microseconds kSpinTime{30};

/// Waits for `done()` for at most kSpinTime; returns `done()`.
template <typename Done>
bool spin_until(const Done& done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      platform::relax_processor();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

}  // namespace dpm
