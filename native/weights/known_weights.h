// What is known of a network's weights from one reading to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "core/dtype.h"
#include "platform/file.h"

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

/// The place of a factor of an addition in a file.
struct FactorPlace {
  std::string file;
  platform::FileVersion version;
  std::uint64_t offset = 0;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;

  [[nodiscard]] bool operator<(const FactorPlace& other) const {
    const auto all = [](const FactorPlace& p) { return std::tie(p.file, p.version, p.offset, p.dtype, p.shape); };
    return all(*this) < all(other);
  }
};

/// What is added to a weight: the product of factors, from the outputs to the inputs.
struct AdditionPlace {
  /// Bits of what the product is multiplied by.
  std::uint32_t factor = 0;
  std::vector<FactorPlace> factors;

  [[nodiscard]] bool operator<(const AdditionPlace& other) const {
    return std::tie(factor, factors) < std::tie(other.factor, other.factors);
  }
};

/// The place of a weight's elements in a file, and what is made of them.
struct WeightPlace {
  std::string file;
  /// A file that was changed is read again, and then compared with the first reading.
  platform::FileVersion version;
  std::uint64_t offset = 0;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> view_dims;
  std::vector<std::int64_t> view_strides;
  /// Weights with other additions are other weights.
  std::vector<AdditionPlace> additions = {};

  [[nodiscard]] bool operator<(const WeightPlace& other) const {
    const auto all = [](const WeightPlace& p) {
      return std::tie(p.file, p.version, p.offset, p.dtype, p.shape, p.view_dims, p.view_strides, p.additions);
    };
    return all(*this) < all(other);
  }
};

/// Each weight's identity, and the digest of its bytes at the first reading. A network shares one with its derivatives
/// and second outputs, which are loaded later from the same files. Usable from any thread.
class KnownWeights {
 public:
  /// Returns the graph::Constant::identity of a weight, the same for the same place.
  std::uint64_t identity(const WeightPlace& place);
  /// Stores the digest of a weight at its first reading. Throws Error(kFile) naming file and weight when the digest
  /// differs later.
  void note(const std::string& weight, const WeightBytes& read);

 private:
  std::mutex mutex_;
  std::map<WeightPlace, std::uint64_t> identities_;
  std::map<std::tuple<std::string, std::uint64_t, std::size_t>, std::uint64_t> digests_;
};

}  // namespace dpm
