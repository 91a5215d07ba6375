#include "cuda/graph_cache.h"

#include <algorithm>

namespace dpm::cuda {
namespace {

// A server's batches, its step counts and the two kinds of graphs each has.
constexpr std::size_t kMostEntries = 64;

}  // namespace

GraphCache::Entry& GraphCache::find(const GraphKey& key) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    entries_.emplace_front();
    entries_.front().key = key;
    if (entries_.size() > kMostEntries) entries_.pop_back();
  }
  return entries_.front();
}

int GraphCache::count(const GraphKey& key) { return ++find(key).count; }

const Graph& GraphCache::get(const GraphKey& key, const Stream& stream, const std::function<void()>& body) {
  Entry& entry = find(key);
  if (!entry.captured) {
    entry.graph = stream.capture(body);
    entry.captured = true;
  }
  return entry.graph;
}

}  // namespace dpm::cuda
