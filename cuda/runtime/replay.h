// How long work takes on the card itself.
#pragma once

#include <functional>

#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Seconds of one of `runs` pieces of work when the card does them one after the other: `queue(i)` queues piece i, all
/// of them are captured as one graph, and the least time of several launches after a first one counts. So the host,
/// which takes longer to queue a small kernel than the card to run it, has no part in it. Throws what capturing throws.
double replayed_seconds(const Stream& stream, int runs, const std::function<void(int)>& queue);

/// For one measurement among many.
constexpr double kTrialSeconds = 0.025;

/// The same with as many runs, `most` at most, as take about `budget` seconds in all, after two that are not captured:
/// what libraries load at the first run they may not load in a capture. A run that takes as long as a graph may is
/// timed alone, as nothing that the host does matters beside it.
double replayed_seconds_within(const Stream& stream, int most, double budget, const std::function<void(int)>& queue);

}  // namespace dpm::cuda
