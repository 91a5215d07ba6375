// Copies of elements to the host while the GPU continues its work.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// A piece of pinned memory and the event of its being filled.
struct Transfer {
  explicit Transfer(std::size_t bytes) : memory(bytes) {}

  /// Queues a copy of `bytes` bytes of the GPU's memory.
  void begin(const Stream& stream, const void* source, std::size_t bytes);

  PinnedMemory memory;
  Event end{EventUse::kWaiting};
};

/// A pool that keeps ended transfers for later ones of at most their size, because pinning memory takes long. Calls
/// from several threads are safe.
class TransferPool {
 public:
  /// Takes a transfer of at least `bytes` bytes. An earlier copy may still be filling it; the next copy of the same
  /// stream comes after that.
  std::unique_ptr<Transfer> take(std::size_t bytes);
  void give(std::unique_ptr<Transfer> transfer) noexcept;

 private:
  std::mutex mutex_;
  /// Kept transfers, smallest first, with room for all that were made.
  std::vector<std::unique_ptr<Transfer>> kept_;
  std::size_t made_ = 0;
};

}  // namespace dpm::cuda
