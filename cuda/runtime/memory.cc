#include "cuda/runtime/memory.h"

#include <iterator>
#include <new>

#include "core/error.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {

DeviceMemory::DeviceMemory(MemoryCount& count, std::size_t bytes) : count_(&count), bytes_(bytes) {
  if (bytes == 0) return;
  check_cuda(cudaMalloc(&data_, bytes), "allocating device memory");
  count.add(bytes);
}

DeviceMemory::~DeviceMemory() {
  if (data_ == nullptr) return;
  // The result is ignored: freeing fails after a failure of the device, and a destructor cannot report it.
  (void)cudaFree(data_);
  count_->remove(bytes_);
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : count_(other.count_), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(count_, other.count_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PinnedMemory::PinnedMemory(std::size_t bytes) : bytes_(bytes) {
  void* address = nullptr;
  const cudaError_t error = cudaMallocHost(&address, bytes);
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw Error(ErrorCode::kOutOfMemory, "CUDA: no pinned host memory left");
  }
  check_cuda(error, "allocating pinned memory");
  data_ = static_cast<unsigned char*>(address);
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) (void)cudaFreeHost(data_);
}

DeviceMemory MemoryPool::take(std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto lowest = kept_.end();
  for (auto piece = kept_.begin(); piece != kept_.end(); ++piece) {
    if (piece->bytes() != bytes) continue;
    if (lowest == kept_.end() || piece->data() < lowest->data()) lowest = piece;
  }
  if (lowest == kept_.end()) return {};
  DeviceMemory taken = std::move(*lowest);
  kept_.erase(lowest);
  bytes_ -= bytes;
  return taken;
}

void MemoryPool::give(DeviceMemory memory) noexcept {
  if (memory.data() == nullptr) return;
  const std::size_t bytes = memory.bytes();
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    kept_.push_front(std::move(memory));
    bytes_ += bytes;
  } catch (const std::bad_alloc&) {
    return;
  }
}

void MemoryPool::free_surplus() {
  std::list<DeviceMemory> surplus;
  const std::lock_guard<std::mutex> lock(mutex_);
  while (bytes_ > most_) {
    bytes_ -= kept_.back().bytes();
    surplus.splice(surplus.begin(), kept_, std::prev(kept_.end()));
  }
}

void MemoryPool::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_.clear();
  bytes_ = 0;
}

}  // namespace dpm::cuda
