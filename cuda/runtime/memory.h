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
  /// Throws Error(kOutOfMemory).
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

/// Host memory that the card reads and writes by itself.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  /// Throws Error(kOutOfMemory).
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

/// Keeps released memory for the next request of the same size: allocation would stop the card, and a run whose
/// registers lie where they lay before can replay its graph. Of several pieces the lowest address is given first, so
/// that the order in which they came back does not matter. What is beyond a limit is given up, the longest kept first:
/// others on the card want it. Calls from several threads are safe.
class MemoryPool {
 public:
  /// Of at most `most` bytes.
  explicit MemoryPool(std::size_t most) : most_(most) {}

  /// A kept piece of this size, or empty.
  DeviceMemory take(std::size_t bytes);
  /// Frees nothing, which would wait for the card, unless there is no room to note the memory down.
  void give(DeviceMemory memory) noexcept;
  /// Frees what is beyond the limit.
  void free_surplus();
  /// Frees what is kept.
  void clear();

 private:
  const std::size_t most_;
  std::mutex mutex_;
  /// What came last in front.
  std::list<DeviceMemory> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace dpm::cuda
