// A stream, its events and its captured graphs, owned.
#pragma once

#include <cstddef>
#include <functional>
#include <shared_mutex>

#include "cuda/runtime/api.h"

namespace dpm::cuda {

class Event;
class Graph;

/// Held, shared, while a graph is being captured. What makes the driver wait for a whole card (cudnnCreate and
/// cudnnDestroy, the end of a stream) would invalidate other threads' captures, and takes it alone.
std::shared_mutex& capture_mutex();

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] cudaStream_t get() const { return stream_; }
  /// Waits for all work. Throws what went wrong in it.
  void wait() const;
  /// What is queued from now on comes after `event`, wherever that was recorded.
  void wait_for(const Event& event) const;
  /// The work that `body` queues, as a graph; nothing of it runs. What `body` throws ends the capture. Throws
  /// Error(kDevice), too, when somebody else in the process invalidates it.
  [[nodiscard]] Graph capture(const std::function<void()>& body) const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// Work that can be queued again at the cost of one launch.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(const Stream& stream) const;
  /// Kernels and copies.
  [[nodiscard]] std::size_t nodes() const { return nodes_; }

 private:
  friend class Stream;
  Graph(cudaGraphExec_t executable, std::size_t nodes) : executable_(executable), nodes_(nodes) {}

  cudaGraphExec_t executable_ = nullptr;
  std::size_t nodes_ = 0;
};

/// What an event is for.
enum class EventUse {
  kTiming,
  /// The order of work in streams.
  kOrder,
  /// Waits that may be long: the thread sleeps, where it would turn in a circle otherwise.
  kWaiting,
  /// The same, of which the time is taken, too.
  kTimedWaiting,
};

/// A moment in a stream's work.
class Event {
 public:
  explicit Event(EventUse use = EventUse::kTiming);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&&) = delete;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(const Stream& stream) const;
  /// Waits until it has come. Throws what went wrong in the work before it.
  void wait() const;
  /// Seconds of the card's time since `start`; waits for both.
  [[nodiscard]] double seconds_since(const Event& start) const;

 private:
  friend class Stream;
  cudaEvent_t event_ = nullptr;
};

}  // namespace dpm::cuda
