// The graphs that were captured last, by what they do and where.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <string>

#include "cuda/device/device.h"

namespace dpm::cuda {

/// What tells one captured graph from another: addresses and sizes, as bytes.
class GraphKey {
 public:
  template <typename T>
  GraphKey& add(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  bool operator==(const GraphKey&) const = default;

 private:
  std::string bytes_;
};

/// Keeps graphs as long as they are among the last that were asked for and do not have too many nodes together.
class GraphCache {
 public:
  /// Of work on `device`'s stream; with its switches nothing is captured.
  explicit GraphCache(Device& device) : device_(device) {}

  /// How often `key` has been asked for since it is known, this time included.
  int count(const GraphKey& key);
  /// Captures what `body` queues where `run` would, so that this launches at once.
  void prepare(const GraphKey& key, const std::function<void()>& body);
  /// Launches the graph of what `body` queues, captured when there is none. Where that fails (another thread may
  /// invalidate a capture, memory may run out) `body` queues its work itself.
  void run(const GraphKey& key, const std::function<void()>& body);
  /// Forgets everything: what the graphs refer to is gone.
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    GraphKey key;
    int count = 0;
    int failures = 0;
    bool captured = false;
    Graph graph;
  };

  Entry& find(const GraphKey& key);
  /// The entry of `key`, with its graph where one can be captured.
  Entry& captured(const GraphKey& key, const std::function<void()>& body);
  [[nodiscard]] bool may_capture(const Entry& entry) const;
  void capture(Entry& entry, const std::function<void()>& body);
  void shrink();

  Device& device_;
  /// The one used last in front.
  std::list<Entry> entries_;
};

}  // namespace dpm::cuda
