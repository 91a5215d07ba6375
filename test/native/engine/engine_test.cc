// Test of the engine's queue.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "core/error.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

/// A job that records its end.
class NotedJob : public Job {
 public:
  NotedJob(std::vector<std::string>& notes, std::mutex& mutex, std::string name, bool drop = false)
      : notes_(notes), mutex_(mutex), name_(std::move(name)), drop_(drop) {}
  void run() override { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
  void finished(std::unique_ptr<Job> /*self*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    notes_.push_back(name_ + ":" + error_code_name(error));
    EXPECT_EQ(message.empty(), error == ErrorCode::kOk) << notes_.back();
  }
  [[nodiscard]] bool cancelled() const override { return drop_; }

 private:
  std::vector<std::string>& notes_;
  std::mutex& mutex_;
  std::string name_;
  bool drop_;
};

TEST(Engine, RunsInOrderDropsCancelledAndRefusesAfterClosing) {
  std::vector<std::string> notes;
  std::mutex mutex;
  {
    Engine engine("cpu", {1, false});
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "a"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "b", true));
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "c"));
    engine.drop_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    engine.stop();
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "d"));
    engine.join();
  }
  const std::vector<std::string> expected = {"b:ERR_DPM_ABORTED", "a:ERR_DPM_OK", "c:ERR_DPM_OK", "d:ERR_DPM_CLOSED"};
  EXPECT_EQ(notes, expected);
}

TEST(Engine, AnIdleOneIsClosedAtOnce) {
  std::vector<std::string> notes;
  std::mutex mutex;
  Engine engine("cpu", {1, false});
  // The thread has stopped spinning after this time, and sleeps.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto closed = std::async(std::launch::async, [&] { engine.join(); });
  const bool in_time = closed.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
  EXPECT_TRUE(in_time);
  // The job wakes the thread, so that the test ends after a failure, too.
  if (!in_time) engine.submit(std::make_unique<NotedJob>(notes, mutex, "late"));
}

}  // namespace
}  // namespace dpm::test
