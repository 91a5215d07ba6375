#include "engine/engine.h"

#include <chrono>
#include <utility>

#include "core/scheduling.h"
#include "core/spin.h"
#include "platform/threads.h"

namespace dpm {

Engine::Engine(const std::string& device, const DeviceOptions& options) : device_(Device::open(device, options)) {
  thread_ = std::thread([this, niceness = niceness_of_engines()] {
    platform::yield_to_short_work(niceness);
    work();
  });
}

Engine::~Engine() { join(); }

void Engine::submit(std::unique_ptr<Job> job) {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    // Refused jobs also pass through the queue while the thread lives, so that they end after the work that is still
    // running.
    if (!ended_) {
      queue_.push_back(std::move(job));
      ++submitted_;
      queue_changed_.notify_all();
      return;
    }
  }
  job->error = ErrorCode::kClosed;
  job->message = "the engine is closed";
  finish(std::move(job));
}

void Engine::finish(std::unique_ptr<Job> job) {
  Job& reference = *job;
  reference.finished(std::move(job));
}

void Engine::drop_cancelled() {
  std::vector<std::unique_ptr<Job>> dropped;
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    std::deque<std::unique_ptr<Job>> kept;
    for (auto& job : queue_) (job->cancelled() ? dropped.emplace_back() : kept.emplace_back()) = std::move(job);
    queue_ = std::move(kept);
    turns_.look_for_cancelled();
    ++submitted_;
  }
  queue_changed_.notify_all();
  for (auto& job : dropped) {
    job->error = ErrorCode::kAborted;
    job->message = "the work was aborted before it began";
    finish(std::move(job));
  }
}

void Engine::add(const std::shared_ptr<TurnTaker>& taker) {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    if (!stopping_) {
      turns_.add(taker);
      return;
    }
  }
  taker->end(ErrorCode::kClosed, "the engine is closed");
}

void Engine::remove(const TurnTaker& taker) {
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  turns_.remove(taker);
}

void Engine::wake() {
  {
    // The lock keeps the thread from falling asleep between its check and the notification.
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    ++submitted_;
  }
  queue_changed_.notify_all();
}

bool Engine::may_take_turn() const { return !stopping_ && turns_.has_work(); }

Engine::Next Engine::next() {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    if (queue_.empty() && !turns_.has_work()) seen_ = submitted_;
  }
  // Spinning keeps the thread awake for callers that await one result before they ask for the next.
  spin_until([&] { return submitted_ != seen_ || stopping_; });
  std::unique_lock<std::mutex> lock(queue_mutex_);
  queue_changed_.wait(lock, [&] { return stopping_ || !queue_.empty() || may_take_turn(); });
  Next next;
  if (may_take_turn() && (last_was_job_ || queue_.empty())) {
    next.taker = turns_.next();
  } else if (!queue_.empty()) {
    next.job = std::move(queue_.front());
    queue_.pop_front();
  }
  last_was_job_ = next.job != nullptr;
  // Both members may be null: a taker's work can vanish meanwhile, because it changes without this lock.
  return next;
}

void Engine::work() {
  while (!stopping_) {
    Next now = next();
    if (now.taker) {
      run(*now.taker);
    } else if (now.job) {
      run(std::move(now.job));
    }
  }
  end_turns();
  for (;;) {
    std::unique_ptr<Job> job;
    {
      const std::lock_guard<std::mutex> lock(queue_mutex_);
      ended_ = queue_.empty();
      if (ended_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    run(std::move(job));
  }
}

std::vector<std::shared_ptr<TurnTaker>> Engine::takers() {
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  return turns_.all();
}

void Engine::run(TurnTaker& taker) {
  const double seconds = taker.take_turn();
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  turns_.charge(taker, seconds);
}

void Engine::run(std::unique_ptr<Job> job) {
  if (stopping_) {
    job->error = ErrorCode::kClosed;
    job->message = "the engine was closed before the work began";
  } else {
    for (const auto& taker : takers()) taker->settle();
    try {
      job->run();
    } catch (...) {
      std::tie(job->error, job->message) = current_error();
    }
  }
  finish(std::move(job));
}

void Engine::end_turns() {
  std::vector<std::shared_ptr<TurnTaker>> takers;
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    takers = turns_.all();
    turns_ = {};
  }
  for (const auto& taker : takers) taker->end(ErrorCode::kClosed, "the engine was closed");
}

void Engine::stop() {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    stopping_ = true;
  }
  queue_changed_.notify_all();
}

void Engine::join() {
  stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace dpm
