// Copies between ordinary host memory and the GPU through pinned memory.
#pragma once

#include <cstddef>

#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// A staging area for one stream, used by one thread at a time.
class Staging {
 public:
  /// Queues a copy to the card; `data` may change as soon as the call returns.
  void upload(const Stream& stream, void* target, const void* data, std::size_t bytes);
  /// Copies from the card once all earlier work is done.
  void download(const Stream& stream, const void* source, void* data, std::size_t bytes);

 private:
  void make_ready();

  PinnedMemory memory_;
  /// Bytes at the beginning that queued copies have still to read.
  std::size_t used_ = 0;
};

}  // namespace dpm::cuda
