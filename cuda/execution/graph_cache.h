// The graphs that were captured last, by their work and addresses.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <string>

#include "cuda/device/device.h"

namespace dpm::cuda {

/// The key of a captured graph: addresses and sizes, as bytes.
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

/// A cache that keeps the last requested graphs, up to a limit of their nodes in total.
class GraphCache {
 public:
  /// Makes a cache for work on `device`'s stream; the device's switches may turn captures off.
  explicit GraphCache(Device& device) : device_(device) {}

  /// Counts the requests of `key` since it is known, including this one.
  int count(const GraphKey& key);
  /// Captures the work of `body` if `run` would, so that `run` only has to launch.
  void prepare(const GraphKey& key, const std::function<void()>& body);
  /// Launches the graph of the work that `body` queues, which is captured when there is none. Where that fails (another
  /// thread may invalidate a capture, memory may run out) `body` queues its work itself.
  void run(const GraphKey& key, const std::function<void()>& body);
  /// Clears the cache when the memory that the graphs refer to is gone.
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
  /// Returns the entry of `key`, with its graph where one can be captured.
  Entry& captured(const GraphKey& key, const std::function<void()>& body);
  [[nodiscard]] bool may_capture(const Entry& entry) const;
  void capture(Entry& entry, const std::function<void()>& body);
  void shrink();

  Device& device_;
  /// Entries, with the one used last in front.
  std::list<Entry> entries_;
};

}  // namespace dpm::cuda
