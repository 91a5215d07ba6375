// Owning, 64-byte aligned memory.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace dpm {

/// Uninitialised memory of `bytes`, aligned for the widest vectors. Throws std::bad_alloc.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded));
    if (!data_) throw std::bad_alloc();
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] void* data() const noexcept { return data_.get(); }
  [[nodiscard]] float* floats() const noexcept { return static_cast<float*>(data_.get()); }

 private:
  struct Free {
    // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): this is the owner's deleter.
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<void, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace dpm
