// Elements on their way to the host while the card goes on.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// A piece of pinned memory and when it is filled.
struct Transfer {
  explicit Transfer(std::size_t bytes) : memory(bytes) {}

  /// Queues the copy of `bytes` bytes of the card's memory.
  void begin(const Stream& stream, const void* source, std::size_t bytes);

  PinnedMemory memory;
  Event end{EventUse::kWaiting};
};

/// Keeps those that have ended for others of at most their size: pinning memory takes long. Calls from several threads
/// are safe.
class TransferPool {
 public:
  /// One of at least `bytes` bytes, which an earlier copy may not have filled yet: the next one of the same stream
  /// comes after it.
  std::unique_ptr<Transfer> take(std::size_t bytes);
  void give(std::unique_ptr<Transfer> transfer) noexcept;

 private:
  std::mutex mutex_;
  /// The smallest first; there is room for all that were made.
  std::vector<std::unique_ptr<Transfer>> kept_;
  std::size_t made_ = 0;
};

}  // namespace dpm::cuda
