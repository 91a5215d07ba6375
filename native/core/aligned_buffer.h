// Owning memory, aligned to 64 bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "platform/memory.h"

namespace dpm {

/// Uninitialised memory of `bytes`, aligned for the widest vectors. Large memory lies in huge pages where the system
/// has them, because the weights of a network are read faster than the addresses of small pages are translated. Throws
/// std::bad_alloc.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const std::size_t alignment = bytes < kHugePage ? kAlignment : kHugePage;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    data_.reset(rounded < bytes ? nullptr : platform::allocate_aligned(alignment, rounded));
    if (!data_) throw std::bad_alloc();
    if (alignment == kHugePage) platform::advise_huge_pages(data_.get(), bytes / kHugePage * kHugePage);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] void* data() const noexcept { return data_.get(); }
  [[nodiscard]] float* floats() const noexcept { return static_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { platform::free_aligned(memory); }
  };
  std::unique_ptr<void, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace dpm
