#include "cuda/execution/graph_cache.h"

#include <algorithm>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

// Limit of entries: a server's batches, its step counts and the kinds of graphs each has; for steps that samples join
// and leave, up to 14 sizes of up to 8 kinds.
constexpr std::size_t kMostEntries = 128;
// Limit of nodes, which take memory of the host and of the GPU.
constexpr std::size_t kMostNodes = 60000;
// Number of failures after which other threads are no longer considered the cause.
constexpr int kMostFailures = 3;

}  // namespace

GraphCache::Entry& GraphCache::find(const GraphKey& key) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    entries_.emplace_front();
    entries_.front().key = key;
  }
  return entries_.front();
}

int GraphCache::count(const GraphKey& key) {
  const int count = ++find(key).count;
  shrink();
  return count;
}

void GraphCache::shrink() {
  const auto too_much = [&] {
    std::size_t nodes = 0;
    for (const Entry& entry : entries_) nodes += entry.captured ? entry.graph.nodes() : 0;
    return nodes > kMostNodes || entries_.size() > kMostEntries;
  };
  while (entries_.size() > 1 && too_much()) entries_.pop_back();
}

bool GraphCache::may_capture(const Entry& entry) const {
  const Switches& switches = device_.settings.switches;
  return switches.graphs && !switches.synchronise && !entry.captured && entry.failures < kMostFailures;
}

void GraphCache::capture(Entry& entry, const std::function<void()>& body) {
  try {
    entry.graph = device_.stream.capture(body);
    entry.captured = true;
    device_.statistics.count_capture(entry.graph.nodes());
  } catch (const CardFailure&) {
    throw;
  } catch (const Error&) {
    ++entry.failures;
    device_.statistics.count_failed_capture();
  }
}

GraphCache::Entry& GraphCache::captured(const GraphKey& key, const std::function<void()>& body) {
  Entry& entry = find(key);
  if (may_capture(entry)) capture(entry, body);
  return entry;
}

void GraphCache::prepare(const GraphKey& key, const std::function<void()>& body) { captured(key, body); }

void GraphCache::run(const GraphKey& key, const std::function<void()>& body) {
  Entry& entry = captured(key, body);
  if (entry.captured) {
    entry.graph.launch(device_.stream);
  } else {
    body();
  }
  shrink();
}

}  // namespace dpm::cuda
