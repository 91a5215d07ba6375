// The graphs that were captured last, by what they do and where.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "cuda/runtime/stream.h"

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

class GraphCache {
 public:
  /// How often `key` has been asked for since it is known, this time included.
  int count(const GraphKey& key);
  /// The graph of `key`, captured by way of `body` when there is none. It stays valid until other graphs have been
  /// asked for many times.
  const Graph& get(const GraphKey& key, const Stream& stream, const std::function<void()>& body);
  /// Forgets everything: what the graphs refer to is gone.
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    GraphKey key;
    int count = 0;
    bool captured = false;
    Graph graph;
  };

  Entry& find(const GraphKey& key);

  /// The one used last in front.
  std::list<Entry> entries_;
};

}  // namespace dpm::cuda
