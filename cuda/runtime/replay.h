// Measurement of work on the GPU itself.
#pragma once

#include <functional>

#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Returns the seconds of one of `runs` pieces of work that the GPU does one after the other: `queue(i)` queues piece
/// i, all of them are captured as one graph, and the least time of several launches after a first one counts. So the
/// measurement excludes the host, which takes longer to queue a small kernel than the GPU to run it. Throws the errors
/// of capturing.
double replayed_seconds(const Stream& stream, int runs, const std::function<void(int)>& queue);

/// Budget in seconds for one measurement among many.
constexpr double kTrialSeconds = 0.025;

/// Returns the same, with as many runs, at most `most`, as take about `budget` seconds in all, after two that are not
/// captured: libraries may not load code during a capture, so they load it in the first run. A run that takes as long
/// as a graph may is timed alone, because the host's time does not matter beside it.
double replayed_seconds_within(const Stream& stream, int most, double budget, const std::function<void(int)>& queue);

}  // namespace dpm::cuda
