// Test of the threads that CPU devices share.
#include <gtest/gtest.h>

#include <thread>

#include "engine/device.h"
#include "graph_runner.h"
#include "platform/threads.h"
#include "scoped_environment.h"

namespace dpm::test {
namespace {

std::shared_ptr<Device> open(int threads) { return Device::open("cpu", {threads, false}); }

TEST(ThreadShares, AreWhatIsAskedForWithoutALimit) {
  const auto first = open(3);
  const auto second = open(5);
  EXPECT_EQ(first->threads(), 3);
  EXPECT_EQ(second->threads(), 5);
  EXPECT_EQ(open(0)->threads(), platform::available_processors());
}

TEST(ThreadShares, AreTogetherAtMostTheLimit) {
  const ScopedEnvironment limited("DPM_THREADS", "6");
  auto first = open(4);
  EXPECT_EQ(first->threads(), 4);
  {
    const auto second = open(5);
    EXPECT_EQ(second->threads(), 2);
    // Every device gets at least one thread.
    EXPECT_EQ(open(3)->threads(), 1);
    EXPECT_EQ(open(0)->threads(), 1);
  }
  EXPECT_EQ(open(0)->threads(), std::min(2, platform::available_processors()));
  first.reset();
  EXPECT_EQ(open(8)->threads(), 6);
  EXPECT_EQ(open(0)->threads(), std::min(6, platform::available_processors()));
}

TEST(ThreadShares, HaveALimitThatIsANumber) {
  for (const char* wrong : {"0", "-2", "four", "4x", " 4", "1025", "99999999999"}) {
    const ScopedEnvironment limited("DPM_THREADS", wrong);
    EXPECT_EQ(code_of([] { open(1); }), ErrorCode::kArgument) << wrong;
  }
  const ScopedEnvironment limited("DPM_THREADS", "");
  EXPECT_EQ(open(3)->threads(), 3);
}

}  // namespace
}  // namespace dpm::test
