// Memory of the emulated GPU and pinned memory of its host: a register of sizes and kinds, with checks of every access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>

#include "guarded_memory.h"

namespace dpm::simt {

/// The register of allocations. Calls from several threads are safe.
class Allocations {
 public:
  /// Allocates memory; null where there is no room, and for allocations that are to fail.
  void* allocate(std::size_t bytes, bool on_device);
  /// Releases memory; false for an address that is no allocation of that side. The memory is kept for a while, filled
  /// with NaN, so that later uses are noticed.
  bool release(void* address, bool on_device);

  [[nodiscard]] bool is_pinned(const void* address) const;
  /// Returns whether all of a range lies in one allocation on the stated side; host memory may be from any source.
  /// Checks that nothing was written beside that allocation.
  [[nodiscard]] bool holds(const void* address, std::size_t bytes, bool on_device) const;
  /// Ends the process if anything was written beside an allocation, or into freed memory that is still kept.
  void check() const;

  /// Bytes of the GPU, and the number of them that is left.
  [[nodiscard]] std::size_t total() const;
  [[nodiscard]] std::size_t available() const;
  /// Numbers of allocations made or refused, and of those refused by `fail`, since the last `reset_counts`.
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] std::uint64_t refused() const;
  void reset_counts();

  void limit(std::size_t bytes);
  void limit_pinned(std::size_t bytes);
  /// Makes `count` allocations fail after `after` more have succeeded.
  void fail(std::uint64_t after, std::uint64_t count);

 private:
  struct Allocation {
    bool on_device = false;
    GuardedMemory memory;
  };

  /// Returns the allocation that contains `address`, or null.
  [[nodiscard]] const Allocation* find(const void* address) const;
  [[nodiscard]] std::size_t left() const;
  /// Returns whether this allocation is one of those that are to fail.
  bool is_refused();

  mutable std::mutex mutex_;
  std::map<const unsigned char*, Allocation> allocations_;
  /// Memory freed last: it is kept so that new memory has other addresses.
  std::deque<GuardedMemory> freed_;
  std::size_t freed_bytes_ = 0;
  std::size_t used_ = 0;
  std::size_t limit_ = std::size_t{8} << 30;
  std::size_t pinned_limit_ = SIZE_MAX;
  /// Allocations that succeed before `failures_` of them fail.
  std::uint64_t successes_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace dpm::simt
