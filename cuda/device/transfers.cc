#include "cuda/device/transfers.h"

#include <algorithm>
#include <utility>

#include "cuda/runtime/check.h"

namespace dpm::cuda {

void Transfer::begin(const Stream& stream, const void* source, std::size_t bytes) {
  check_cuda(cudaMemcpyAsync(memory.data(), source, bytes, cudaMemcpyDeviceToHost, stream.get()),
             "copying from the card");
  end.record(stream);
}

std::unique_ptr<Transfer> TransferPool::take(std::size_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto large_enough = [&](const auto& kept) { return kept->memory.bytes() >= bytes; };
    const auto found = std::find_if(kept_.begin(), kept_.end(), large_enough);
    if (found != kept_.end()) {
      auto taken = std::move(*found);
      kept_.erase(found);
      return taken;
    }
    kept_.reserve(++made_);
  }
  return std::make_unique<Transfer>(bytes);
}

void TransferPool::give(std::unique_ptr<Transfer> transfer) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto is_larger = [&](const auto& kept) { return kept->memory.bytes() > transfer->memory.bytes(); };
  kept_.insert(std::find_if(kept_.begin(), kept_.end(), is_larger), std::move(transfer));
}

}  // namespace dpm::cuda
