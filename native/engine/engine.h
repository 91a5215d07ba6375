// The thread of an engine, which owns the device: jobs run in order, one at a time, with turns between them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "engine/device.h"
#include "engine/turns.h"

namespace dpm {

/// A piece of work. `run` is called on the engine's thread, then `finished` on the same thread, exactly once, even for
/// jobs that never ran; `finished` receives the ownership of the job.
class Job {
 public:
  Job() = default;
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  virtual void run() = 0;
  virtual void finished(std::unique_ptr<Job> self) = 0;
  /// Returns whether the job is no longer wanted; a queued job is then removed from the queue.
  [[nodiscard]] virtual bool cancelled() const { return false; }

  ErrorCode error = ErrorCode::kOk;
  std::string message;
};

class Engine {
 public:
  Engine(const std::string& device, const DeviceOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const std::shared_ptr<Device>& device() const { return device_; }

  /// Queues a job; after `stop` it finishes with kClosed.
  void submit(std::unique_ptr<Job> job);
  /// Finishes queued jobs that are cancelled, with kAborted, and makes the takers of turns look for cancelled work.
  void drop_cancelled();
  /// Gives a taker turns between jobs: one after each job, and one after the other while the queue is empty. After
  /// `stop` its work ends with kClosed.
  void add(const std::shared_ptr<TurnTaker>& taker);
  /// Gives a taker no more turns; a running turn ends later.
  void remove(const TurnTaker& taker);
  /// Tells the thread that a taker of turns has work.
  void wake();
  /// Makes the running job end at its next look at `stopping` and fails the queued ones; returns at once.
  void stop();
  /// Calls stop() and waits for the thread.
  void join();
  [[nodiscard]] const std::atomic<bool>& stopping() const { return stopping_; }
  /// Releases the device; allowed after join().
  void release_device() { device_.reset(); }

 private:
  /// The next work of the thread: a job, a turn, or neither when there is none.
  struct Next {
    std::unique_ptr<Job> job;
    std::shared_ptr<TurnTaker> taker;
  };
  Next next();
  [[nodiscard]] bool may_take_turn() const;
  void work();
  void run(std::unique_ptr<Job> job);
  void run(TurnTaker& taker);
  std::vector<std::shared_ptr<TurnTaker>> takers();
  void end_turns();
  void finish(std::unique_ptr<Job> job);

  std::shared_ptr<Device> device_;
  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<std::unique_ptr<Job>> queue_;
  Turns turns_;
  // Counter that everything that brings work raises, so that the thread can check for work without the lock.
  std::atomic<std::uint64_t> submitted_{0};
  /// Value of `submitted_` when the thread last found nothing to do.
  std::uint64_t seen_ = 0;
  bool last_was_job_ = false;
  bool ended_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace dpm
