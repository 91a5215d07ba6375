#include "engine/engine.h"

#include <utility>

namespace dpm {

Engine::Engine(const std::string& device, const DeviceOptions& options) : device_(Device::open(device, options)) {
  thread_ = std::thread([this] { work(); });
}

Engine::~Engine() { join(); }

void Engine::submit(std::unique_ptr<Job> job) {
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(job));
      queue_changed_.notify_one();
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

void Engine::work() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(queue_mutex_);
      queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    if (stopping_) {
      job->error = ErrorCode::kClosed;
      job->message = "the engine was closed before the work began";
    } else {
      const std::lock_guard<std::mutex> lock(device_mutex_);
      try {
        job->run();
      } catch (...) {
        std::tie(job->error, job->message) = current_error();
      }
    }
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
