// Packed weights by what they are packed from, shared by the networks of a device.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"

namespace dpm {

/// Finds weights that a network in memory has packed already: the same network for images of another size, its
/// derivatives, and nodes that compute a part of it again. Used by the thread that loads networks alone; the weights
/// may be released by any.
template <typename Packed>
class WeightCache {
 public:
  /// Returns `count` constants of `graph` as `pack` makes them in `order`: what tells this way of packing from every
  /// other. They are shared unless one of the constants has no identity.
  template <typename Pack>
  std::shared_ptr<Packed> get(const std::vector<std::uint64_t>& order, const dpm_graph& graph,
                              const std::int32_t* constants, std::uint32_t count, const Pack& pack) {
    Key key{order, {}};
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t identity = graph.constants[constants[i]].identity;
      if (identity == 0) return std::make_shared<Packed>(pack());
      key.second.push_back(identity);
    }
    std::weak_ptr<Packed>& known = known_[key];
    std::shared_ptr<Packed> found = known.lock();
    if (!found) known = found = std::make_shared<Packed>(pack());
    return found;
  }

  /// Forgets weights that no network has any more.
  void forget_released() {
    std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  }

  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  /// The order, and the identities of the constants.
  using Key = std::pair<std::vector<std::uint64_t>, std::vector<std::uint64_t>>;

  std::map<Key, std::weak_ptr<Packed>> known_;
};

}  // namespace dpm
