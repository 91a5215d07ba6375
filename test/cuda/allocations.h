// Memory of the emulated card and pinned memory of its host: what there is of it, whose it is, and whether it was kept
// to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>

#include "guarded_memory.h"

namespace dpm::simt {

/// Calls from several threads are safe.
class Allocations {
 public:
  /// Null where there is no room, and where it is to fail.
  void* allocate(std::size_t bytes, bool on_device);
  /// False for what is no allocation of that side. Keeps the memory for a while, of NaN: what goes on to use it shows.
  bool release(void* address, bool on_device);

  [[nodiscard]] bool is_pinned(const void* address) const;
  /// Whether all of a range lies in one allocation on the side it is said to be on; host memory may be anybody's. Looks
  /// whether anybody has written beside that allocation.
  [[nodiscard]] bool holds(const void* address, std::size_t bytes, bool on_device) const;
  /// Ends the process where anybody has written beside an allocation, or into freed memory that is still kept.
  void check() const;

  /// Bytes of the card, and those of them that are left.
  [[nodiscard]] std::size_t total() const;
  [[nodiscard]] std::size_t available() const;
  /// How many were made or refused, and how many of these by `fail`, since the last `reset_counts`.
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] std::uint64_t refused() const;
  void reset_counts();

  void limit(std::size_t bytes);
  void limit_pinned(std::size_t bytes);
  /// Of those to come, `count` fail when `after` more have succeeded.
  void fail(std::uint64_t after, std::uint64_t count);

 private:
  struct Allocation {
    bool on_device = false;
    GuardedMemory memory;
  };

  /// The allocation that `address` lies in, or null.
  [[nodiscard]] const Allocation* find(const void* address) const;
  [[nodiscard]] std::size_t left() const;
  /// Whether this allocation is one of those that are to fail.
  bool is_refused();

  mutable std::mutex mutex_;
  std::map<const unsigned char*, Allocation> allocations_;
  /// Freed last: new memory lies elsewhere.
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
