// Device memory and pinned host memory, owned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <utility>

#include "core/memory_count.h"

namespace dpm::cuda {

/// Memory of the current device, at least 256-byte aligned; null for 0 bytes.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// Allocates memory. Throws Error(kOutOfMemory).
  DeviceMemory(MemoryCount& count, std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  [[nodiscard]] void* data() const { return data_; }
  template <typename T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  MemoryCount* count_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Host memory that the GPU reads and writes directly.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  /// Allocates memory. Throws Error(kOutOfMemory).
  explicit PinnedMemory(std::size_t bytes);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept { swap(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  [[nodiscard]] unsigned char* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void swap(PinnedMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  unsigned char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A pool that keeps released memory for the next request of the same size: allocation would stop the GPU, and a run
/// whose registers have the same addresses as before can replay its graph. Of several pieces the lowest address is
/// given first, so that the order of their release does not matter. Memory beyond a limit is freed, the longest kept
/// first, for other users of the GPU. Calls from several threads are safe.
class MemoryPool {
 public:
  /// Makes a pool of at most `most` bytes.
  explicit MemoryPool(std::size_t most) : most_(most) {}

  /// Returns a kept piece of this size, or an empty one.
  DeviceMemory take(std::size_t bytes);
  /// Keeps memory without freeing any, which would wait for the GPU, unless there is no room to record it.
  void give(DeviceMemory memory) noexcept;
  /// Frees memory beyond the limit.
  void free_surplus();
  /// Frees all kept memory.
  void clear();

 private:
  const std::size_t most_;
  std::mutex mutex_;
  /// Kept pieces, with the last one in front.
  std::list<DeviceMemory> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace dpm::cuda
