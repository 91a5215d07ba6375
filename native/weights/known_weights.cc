#include "weights/known_weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "graph/graph.h"

namespace dpm {

std::uint64_t digest_of(const void* data, std::size_t bytes) noexcept {
  // Each step is one-to-one in the word and in the lane. There are four lanes, because a single one would wait for its
  // own multiplications.
  constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15ULL;
  constexpr std::size_t kLanes = 4;
  constexpr std::size_t kBlock = kLanes * sizeof(std::uint64_t);
  const auto mixed = [](std::uint64_t lane, std::uint64_t word) { return std::rotl((lane ^ word) * kFactor, 29); };
  std::array<std::uint64_t, kLanes> lanes{1, 2, 3, 4};
  const auto* at = static_cast<const unsigned char*>(data);
  for (std::size_t left = bytes; left > 0;) {
    std::array<std::uint64_t, kLanes> words{};
    const std::size_t taken = std::min(left, kBlock);
    std::memcpy(words.data(), at, taken);
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = mixed(lanes[i], words[i]);
    at += taken;
    left -= taken;
  }
  std::uint64_t digest = bytes;
  for (const std::uint64_t lane : lanes) digest = mixed(digest, lane);
  return digest;
}

std::uint64_t KnownWeights::identity(const WeightPlace& place) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& known = identities_[place];
  if (known == 0) known = graph::new_identity();
  return known;
}

void KnownWeights::note(const std::string& weight, const WeightBytes& read) {
  const std::uint64_t digest = digest_of(read.data, read.bytes);
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = digests_.try_emplace({read.file, read.offset, read.bytes}, digest);
  if (!is_new && known->second != digest) {
    throw Error(ErrorCode::kFile, read.file + " has changed since its network was loaded: tensor " + weight);
  }
}

}  // namespace dpm
