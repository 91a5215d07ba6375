#include "engine/engine.h"

#include <utility>

#include "core/spin.h"

namespace dpm {

Engine::Engine(const std::string& device, const DeviceOptions& options) : device_(Device::open(device, options)) {
  thread_ = std::thread([this] { work(); });
}

Engine::~Engine() { join(); }

void Engine::submit(std::unique_ptr<Job> job) {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    // While the thread lives, refusals wait their turn, too: they come after the work that is still running.
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
  }
  for (auto& job : dropped) {
    job->error = ErrorCode::kAborted;
    job->message = "the work was aborted before it began";
    finish(std::move(job));
  }
}

Engine::Turn::Turn(Engine& engine) : engine_(engine) {
  std::unique_lock<std::mutex> lock(engine.queue_mutex_);
  engine.queue_changed_.wait(lock,
                             [&] { return engine.stopping_ || (engine.queue_.empty() && !engine.device_in_use_); });
  if (engine.stopping_) throw Error(ErrorCode::kClosed, "the engine is closed");
  engine.device_in_use_ = true;
}

Engine::Turn::~Turn() {
  {
    const std::lock_guard<std::mutex> lock(engine_.queue_mutex_);
    engine_.device_in_use_ = false;
  }
  engine_.queue_changed_.notify_all();
}

void Engine::work() {
  for (std::uint64_t seen = 0;;) {
    std::unique_ptr<Job> job;
    // Callers that await one result before they ask for the next find the thread awake.
    spin_until([&] { return submitted_ != seen || stopping_; });
    {
      std::unique_lock<std::mutex> lock(queue_mutex_);
      queue_changed_.wait(lock, [this] { return stopping_ || (!queue_.empty() && !device_in_use_); });
      if (queue_.empty()) {
        ended_ = true;
        return;
      }
      job = std::move(queue_.front());
      queue_.pop_front();
      if (queue_.empty()) seen = submitted_;
      device_in_use_ = !stopping_;
    }
    if (stopping_) {
      job->error = ErrorCode::kClosed;
      job->message = "the engine was closed before the work began";
    } else {
      try {
        job->run();
      } catch (...) {
        std::tie(job->error, job->message) = current_error();
      }
    }
    {
      const std::lock_guard<std::mutex> lock(queue_mutex_);
      device_in_use_ = false;
    }
    queue_changed_.notify_all();
    finish(std::move(job));
  }
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
