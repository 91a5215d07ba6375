// What was read of a network's weights, to know a file that was changed since.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace dpm {

/// 64 bits of `bytes` bytes; two contents that differ within one aligned word of 8 bytes never have the same. For
/// telling what has changed, not for keeping out who means harm.
std::uint64_t digest_of(const void* data, std::size_t bytes) noexcept;

/// The bytes of a weight, where they were read.
struct WeightBytes {
  const std::string& file;
  std::uint64_t offset = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/// Of each weight the digest of its bytes when they were first read. A network and what is read later from the same
/// files, its derivatives and second outputs, share one; from any thread.
class WeightDigests {
 public:
  /// Keeps the digest of what is read for the first time. Throws Error(kFile) naming file and weight where it was
  /// another one before.
  void note(const std::string& weight, const WeightBytes& read);

 private:
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::uint64_t, std::size_t>, std::uint64_t> digests_;
};

}  // namespace dpm
