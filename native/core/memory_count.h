// The amount of memory that a device has allocated.
#pragma once

#include <atomic>
#include <cstdint>

namespace dpm {

/// Bytes in use and their maximum; read by other threads.
class MemoryCount {
 public:
  void add(std::uint64_t bytes) {
    const std::uint64_t now = used_.fetch_add(bytes) + bytes;
    std::uint64_t peak = peak_.load();
    while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  void remove(std::uint64_t bytes) { used_.fetch_sub(bytes); }
  [[nodiscard]] std::uint64_t used() const { return used_.load(); }
  [[nodiscard]] std::uint64_t peak() const { return peak_.load(); }

 private:
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> peak_{0};
};

}  // namespace dpm
