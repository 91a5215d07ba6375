// The engine's only thread pool: the calling thread takes part and tasks are drawn from a shared counter. Workers join
// a region only when they get there, so a worker that the system preempts delays one task and not the whole region.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace dpm {

class ThreadPool {
 public:
  /// Starts a pool of `threads` threads, at least 1, including the caller of `parallel_for`. Throws Error(kDevice) when
  /// the system gives fewer, and as niceness_of_engines does.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Returns a pool without workers, for what runs on one thread of another pool. Any number of threads may use it.
  static ThreadPool& of_caller() {
    static ThreadPool pool(1);
    return pool;
  }

  [[nodiscard]] int threads() const noexcept { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `body(task, thread)` for every task in [0, tasks), thread in [0, threads()). Returns when all are done.
  /// `body` must not throw. Only one thread may call this at a time. Workers flush subnormal numbers; the caller
  /// should, too (FlushDenormals).
  template <typename Body>
  void parallel_for(std::int64_t tasks, const Body& body) {
    if (tasks <= 1 || workers_.empty()) {
      for (std::int64_t task = 0; task < tasks; ++task) body(task, 0);
      return;
    }
    run(tasks, &body,
        [](const void* context, std::int64_t task, int thread) { (*static_cast<const Body*>(context))(task, thread); });
  }

 private:
  using Invoke = void (*)(const void* context, std::int64_t task, int thread);

  void run(std::int64_t tasks, const void* context, Invoke invoke);
  void join_workers();
  void work(int thread);
  void draw(int thread);
  bool join(std::uint64_t& seen);

  const int niceness_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // A parallel region, valid while the open bit of state_ is set or a worker is active in it.
  const void* context_ = nullptr;
  Invoke invoke_ = nullptr;
  std::int64_t tasks_ = 0;
  alignas(64) std::atomic<std::int64_t> next_{0};
  // state bits: generation << 17 | open << 16 | active workers
  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleeping_{0};
};

}  // namespace dpm
