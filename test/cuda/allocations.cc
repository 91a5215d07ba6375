#include "allocations.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dpm::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer itself keeps freed memory and detects accesses to it.
constexpr std::size_t kKept = 0;
#else
constexpr std::size_t kKept = std::size_t{64} << 20;
#endif

using Lock = std::lock_guard<std::mutex>;

}  // namespace

void* Allocations::allocate(std::size_t bytes, bool on_device) {
  const Lock lock(mutex_);
  ++count_;
  if (bytes > (on_device ? left() : pinned_limit_) || is_refused()) return nullptr;
  GuardedMemory memory(bytes);
  if (on_device) used_ += bytes;
  unsigned char* start = memory.data();
  allocations_.emplace(start, Allocation{on_device, std::move(memory)});
  return start;
}

bool Allocations::release(void* address, bool on_device) {
  const Lock lock(mutex_);
  const auto found = allocations_.find(static_cast<unsigned char*>(address));
  if (found == allocations_.end() || found->second.on_device != on_device) return false;
  GuardedMemory memory = std::move(found->second.memory);
  allocations_.erase(found);
  if (on_device) used_ -= memory.bytes();
  memory.spoil();
  freed_bytes_ += memory.bytes();
  freed_.push_back(std::move(memory));
  for (; freed_bytes_ > kKept; freed_.pop_front()) {
    freed_.front().check_spoilt();
    freed_bytes_ -= freed_.front().bytes();
  }
  return true;
}

bool Allocations::is_pinned(const void* address) const {
  const Lock lock(mutex_);
  const Allocation* allocation = find(address);
  return allocation != nullptr && !allocation->on_device;
}

bool Allocations::holds(const void* address, std::size_t bytes, bool on_device) const {
  const Lock lock(mutex_);
  const Allocation* allocation = find(address);
  if (allocation == nullptr) return !on_device;
  const GuardedMemory& memory = allocation->memory;
  memory.check();
  const auto offset = static_cast<std::size_t>(static_cast<const unsigned char*>(address) - memory.data());
  return allocation->on_device == on_device && bytes <= memory.bytes() - offset;
}

void Allocations::check() const {
  const Lock lock(mutex_);
  for (const auto& [address, allocation] : allocations_) allocation.memory.check();
  for (const GuardedMemory& memory : freed_) memory.check_spoilt();
}

std::size_t Allocations::total() const {
  const Lock lock(mutex_);
  return limit_;
}
std::size_t Allocations::available() const {
  const Lock lock(mutex_);
  return left();
}
std::uint64_t Allocations::count() const {
  const Lock lock(mutex_);
  return count_;
}
std::uint64_t Allocations::refused() const {
  const Lock lock(mutex_);
  return refused_;
}
void Allocations::reset_counts() {
  const Lock lock(mutex_);
  count_ = refused_ = 0;
}

void Allocations::limit(std::size_t bytes) {
  const Lock lock(mutex_);
  limit_ = bytes;
}
void Allocations::limit_pinned(std::size_t bytes) {
  const Lock lock(mutex_);
  pinned_limit_ = bytes;
}
void Allocations::fail(std::uint64_t after, std::uint64_t count) {
  const Lock lock(mutex_);
  successes_ = after;
  failures_ = count;
}

const Allocations::Allocation* Allocations::find(const void* address) const {
  const auto* start = static_cast<const unsigned char*>(address);
  const auto next = allocations_.upper_bound(start);
  if (next == allocations_.begin()) return nullptr;
  const auto& [first, allocation] = *std::prev(next);
  return static_cast<std::size_t>(start - first) < allocation.memory.bytes() ? &allocation : nullptr;
}

std::size_t Allocations::left() const { return limit_ - std::min(limit_, used_); }

bool Allocations::is_refused() {
  if (failures_ == 0) return false;
  if (successes_ > 0) {
    --successes_;
    return false;
  }
  --failures_;
  ++refused_;
  return true;
}

}  // namespace dpm::simt
