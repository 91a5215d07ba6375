#include "cuda/runtime/replay.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace dpm::cuda {
namespace {

constexpr int kLaunches = 5;

}  // namespace

double replayed_seconds(const Stream& stream, int runs, const std::function<void(int)>& queue) {
  require(runs >= 1, "nothing is to be timed");
  const Graph graph = stream.capture([&] {
    for (int i = 0; i < runs; ++i) queue(i);
  });
  graph.launch(stream);
  const Event start;
  const Event end;
  double best = HUGE_VAL;
  for (int i = 0; i < kLaunches; ++i) {
    start.record(stream);
    graph.launch(stream);
    end.record(stream);
    best = std::min(best, end.seconds_since(start));
  }
  return best / runs;
}

double replayed_seconds_within(const Stream& stream, int most, double budget, const std::function<void(int)>& queue) {
  queue(0);
  const Event start;
  const Event end;
  start.record(stream);
  queue(0);
  end.record(stream);
  const double alone = end.seconds_since(start);
  const double of_a_launch = budget / (kLaunches + 1);
  if (alone >= of_a_launch) return alone;
  // Work that takes no measurable time may be repeated as often as is allowed.
  const double fitting = std::min(of_a_launch / std::max(alone, 1e-9), static_cast<double>(most));
  return replayed_seconds(stream, std::max(1, static_cast<int>(fitting)), queue);
}

}  // namespace dpm::cuda
