#include "cuda/runtime/replay.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "core/error.h"
#include "runtime.h"

namespace dpm::cuda {
namespace {

using std::chrono::milliseconds;

/// Queues work that takes `time`.
void take(const Stream& stream, milliseconds time) {
  simt::submit(stream.get(), [time] { std::this_thread::sleep_for(time); });
}

TEST(Replay, CapturesEveryPieceOnceAndLaunchesThemTogether) {
  const Stream stream;
  std::vector<int> queued;
  int done = 0;
  simt::reset_counters();
  const double seconds = replayed_seconds(stream, 20, [&](int i) {
    queued.push_back(i);
    simt::submit(stream.get(), [&] { ++done; });
  });
  ASSERT_EQ(queued.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(queued[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(simt::counters().captures, 1U);
  EXPECT_GE(simt::counters().graph_launches, 3U);
  EXPECT_EQ(static_cast<std::uint64_t>(done), 20 * simt::counters().graph_launches);
  EXPECT_GE(seconds, 0.0);
}

TEST(Replay, LeavesOutWhatTheHostTakes) {
  const Stream stream;
  const double seconds = replayed_seconds(stream, 4, [&](int) {
    std::this_thread::sleep_for(milliseconds(20));
    take(stream, milliseconds(2));
  });
  EXPECT_GE(seconds, 2e-3);
  EXPECT_LT(seconds, 15e-3);
}

TEST(Replay, ThrowsWhatItsWorkThrowsAndWhatCapturingThrows) {
  const Stream stream;
  EXPECT_THROW(replayed_seconds(stream, 0, [](int) {}), Error);
  EXPECT_THROW(replayed_seconds(stream, 1, [](int) { throw Error(ErrorCode::kUnsupported, "no"); }), Error);
  simt::invalidate_captures(1);
  EXPECT_THROW(replayed_seconds(stream, 1, [&](int) { take(stream, milliseconds(0)); }), Error);
  EXPECT_GE(replayed_seconds(stream, 1, [&](int) { take(stream, milliseconds(0)); }), 0.0) << "a stream still works";
}

TEST(Replay, RepeatsWhatIsShortAsOftenAsTheBudgetAllows) {
  const Stream stream;
  const auto captured = [&](milliseconds time, double budget) {
    int queued = 0;
    const double seconds = replayed_seconds_within(stream, 20, budget, [&](int i) {
      EXPECT_LT(i, 20);
      ++queued;
      take(stream, time);
    });
    EXPECT_GE(seconds, std::chrono::duration<double>(time).count());
    // The first two runs are not part of the graph.
    return queued - 2;
  };
  EXPECT_EQ(captured(milliseconds(0), 1), 20);
  const int some = captured(milliseconds(2), 0.06);
  EXPECT_GE(some, 1);
  EXPECT_LE(some, 5);
  EXPECT_EQ(captured(milliseconds(20), 0.06), 0) << "timed alone";
}

}  // namespace
}  // namespace dpm::cuda
