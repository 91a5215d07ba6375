// Test of the niceness of threads.
#include "core/scheduling.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "core/thread_pool.h"
#include "engine/engine.h"
#include "graph_runner.h"
#include "platform/threads.h"
#include "scoped_environment.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <unistd.h>

namespace dpm::test {
namespace {

/// Returns the niceness of the calling thread.
int niceness() { return getpriority(PRIO_PROCESS, 0); }

int niceness_of_process() { return getpriority(PRIO_PROCESS, static_cast<id_t>(getpid())); }

/// Returns the niceness of the second thread of a new pool.
int niceness_in_pool() {
  ThreadPool pool(2);
  std::atomic<int> seen{-100};
  while (seen == -100) {
    pool.parallel_for(2, [&](std::int64_t /*task*/, int thread) {
      if (thread == 1) seen = niceness();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  }
  return seen;
}

TEST(Niceness, OfThreadsThatComputeIsThatOfTheProcess) { EXPECT_EQ(niceness_in_pool(), niceness_of_process()); }

TEST(Niceness, OfThreadsThatComputeIsMoreWhereItIsSaid) {
  const ScopedEnvironment nicer("DPM_NICE", "3");
  EXPECT_EQ(niceness_in_pool(), niceness_of_process() + 3);
  EXPECT_EQ(niceness(), niceness_of_process());
}

/// A job that records the niceness of the thread that runs it.
class NicenessJob : public Job {
 public:
  explicit NicenessJob(std::atomic<int>& seen) : seen_(seen) {}
  void run() override { seen_ = niceness(); }
  void finished(std::unique_ptr<Job> /*self*/) override {}

 private:
  std::atomic<int>& seen_;
};

TEST(Niceness, OfAnEngineIsMoreWhereItIsSaid) {
  const ScopedEnvironment nicer("DPM_NICE", "3");
  Engine engine("cpu", {1, false});
  std::atomic<int> seen{-100};
  engine.submit(std::make_unique<NicenessJob>(seen));
  while (seen == -100) std::this_thread::yield();
  EXPECT_EQ(seen, niceness_of_process() + 3);
}

TEST(Niceness, IsNotDoubledInThreadsOfThreads) {
  const ScopedEnvironment nicer("DPM_NICE", "3");
  int inner = -100;
  std::thread([&] {
    platform::yield_to_short_work(3);
    inner = niceness_in_pool();
  }).join();
  EXPECT_EQ(inner, niceness_of_process() + 3);
}

TEST(Niceness, IsANumberThatTheSystemKnows) {
  for (const char* wrong : {"-1", "20", "five", "3x", " 3"}) {
    const ScopedEnvironment nicer("DPM_NICE", wrong);
    EXPECT_EQ(code_of([] { niceness_of_engines(); }), ErrorCode::kArgument) << wrong;
    EXPECT_EQ(code_of([] { Engine("reference", {1, false}); }), ErrorCode::kArgument) << wrong;
  }
  for (const auto& [known, niceness] : {std::pair("", 0), {"0", 0}, {"19", 19}}) {
    const ScopedEnvironment nicer("DPM_NICE", known);
    EXPECT_EQ(niceness_of_engines(), niceness) << known;
  }
}

}  // namespace
}  // namespace dpm::test
#endif
