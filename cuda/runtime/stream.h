// A stream, its events and its captured graphs, owned.
#pragma once

#include <cstddef>
#include <functional>
#include <shared_mutex>

#include "cuda/runtime/api.h"

namespace dpm::cuda {

class Event;
class Graph;

/// Mutex that a capture holds shared. Calls that make the driver wait for a whole GPU (cudnnCreate and cudnnDestroy,
/// the end of a stream) would invalidate other threads' captures, so they hold it exclusively.
std::shared_mutex& capture_mutex();

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] cudaStream_t get() const { return stream_; }
  /// Waits for all work. Throws the error of failed work.
  void wait() const;
  /// Makes work queued from now on come after `event`, on whichever stream it was recorded.
  void wait_for(const Event& event) const;
  /// Returns the work that `body` queues as a graph; nothing of it runs. An exception of `body` ends the capture.
  /// Throws Error(kDevice) also when another thread of the process invalidates it.
  [[nodiscard]] Graph capture(const std::function<void()>& body) const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// A graph: work that can be queued again at the cost of one launch.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(const Stream& stream) const;
  /// Number of nodes: kernels and copies.
  [[nodiscard]] std::size_t nodes() const { return nodes_; }

 private:
  friend class Stream;
  Graph(cudaGraphExec_t executable, std::size_t nodes) : executable_(executable), nodes_(nodes) {}

  cudaGraphExec_t executable_ = nullptr;
  std::size_t nodes_ = 0;
};

/// The purpose of an event.
enum class EventUse {
  kTiming,
  /// The order of work in streams.
  kOrder,
  /// Long waits, during which the thread sleeps instead of spinning.
  kWaiting,
  /// Long waits with a measurement of time.
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
  /// Waits for the event. Throws the error of failed work before it.
  void wait() const;
  /// Returns the seconds of the GPU's time since `start`; waits for both.
  [[nodiscard]] double seconds_since(const Event& start) const;

 private:
  friend class Stream;
  cudaEvent_t event_ = nullptr;
};

}  // namespace dpm::cuda
