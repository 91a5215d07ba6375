// Digests of a network's weights as they were read, to detect files that have changed since.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace dpm {

/// Returns a 64-bit digest of `bytes` bytes; two contents that differ within one aligned word of 8 bytes never have the
/// same. It detects changes, but is no protection against attacks.
std::uint64_t digest_of(const void* data, std::size_t bytes) noexcept;

/// The bytes of a weight, and the place in a file that they were read from.
struct WeightBytes {
  const std::string& file;
  std::uint64_t offset = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/// Digests of each weight's bytes at the first reading. A network shares one with its derivatives and second outputs,
/// which are read later from the same files. Usable from any thread.
class WeightDigests {
 public:
  /// Stores the digest of a weight at its first reading. Throws Error(kFile) naming file and weight when the digest
  /// differs later.
  void note(const std::string& weight, const WeightBytes& read);

 private:
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::uint64_t, std::size_t>, std::uint64_t> digests_;
};

}  // namespace dpm
