#include "cuda/runtime/replay.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace dpm::cuda {

double replayed_seconds(const Stream& stream, int runs, const std::function<void(int)>& queue) {
  constexpr int kLaunches = 5;
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

}  // namespace dpm::cuda
