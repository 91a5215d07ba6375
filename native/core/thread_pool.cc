#include "core/thread_pool.h"

#include <string>
#include <system_error>

#include "core/error.h"
#include "core/flush_denormals.h"
#include "core/scheduling.h"
#include "core/spin.h"
#include "platform/threads.h"

namespace dpm {
namespace {

constexpr std::uint64_t kActive = 0xFFFF;
constexpr std::uint64_t kOpen = 0x10000;
constexpr std::uint64_t kGeneration = 0x20000;

}  // namespace

ThreadPool::ThreadPool(int threads) : niceness_(threads > 1 ? niceness_of_engines() : 0) {
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    join_workers();
    throw Error(ErrorCode::kDevice, "the system refused thread " + std::to_string(workers_.size() + 1) + " of " +
                                        std::to_string(threads) + ": " + error.what());
  }
}

ThreadPool::~ThreadPool() { join_workers(); }

void ThreadPool::join_workers() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(std::int64_t tasks, const void* context, Invoke invoke) {
  context_ = context;
  invoke_ = invoke;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  state_.store((state_.load() & ~(kOpen | kActive)) + kGeneration + kOpen);
  if (sleeping_.load() > 0) {
    // The lock ensures that a worker either sees the new state_ or is already asleep and gets the wake-up.
    {
      const std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_.notify_all();
  }
  draw(0);
  state_.fetch_and(~kOpen);
  const auto finished = [this] { return (state_.load(std::memory_order_acquire) & kActive) == 0; };
  while (!spin_until(finished)) std::this_thread::yield();
}

void ThreadPool::draw(int thread) {
  for (;;) {
    const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    invoke_(context_, task, thread);
  }
}

bool ThreadPool::join(std::uint64_t& seen) {
  std::uint64_t state = state_.load();
  while ((state & kOpen) != 0 && state / kGeneration != seen) {
    if (state_.compare_exchange_weak(state, state + 1)) {
      seen = state / kGeneration;
      return true;
    }
  }
  return false;
}

void ThreadPool::work(int thread) {
  const FlushDenormals flush;
  platform::yield_to_short_work(niceness_);
  std::uint64_t seen = 0;
  const auto changed = [&] {
    const std::uint64_t state = state_.load();
    return ((state & kOpen) != 0 && state / kGeneration != seen) || stop_.load();
  };
  for (;;) {
    if (!spin_until(changed)) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, changed);
      sleeping_.fetch_sub(1);
    }
    if (stop_.load()) return;
    if (!join(seen)) continue;
    draw(thread);
    state_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace dpm
