#include "cuda/device/device.h"

#include <algorithm>
#include <utility>

#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Limit of scratch memory for one product, in bytes: some algorithms of cuDNN would take gigabytes for little gain.
std::int64_t workspace_limit(const DeviceSettings& settings) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 30;
  constexpr std::uint64_t kShare = 16;
  return static_cast<std::int64_t>(std::min(kLimit, settings.card_memory / kShare));
}

}  // namespace

Device::Device(const DeviceSettings& chosen, const std::string& card)
    : settings(chosen),
      products(make_products(stream, side,
                             {.card = card,
                              .capability = chosen.capability,
                              .autotune = chosen.autotune,
                              .workspace_limit = workspace_limit(chosen),
                              .switches = chosen.switches},
                             &products_description)) {}

Device::~Device() {
  free_buried();
  // The last copies still read pinned memory, so they are waited for. After a failure of the GPU nothing reads it any
  // more.
  (void)cudaStreamSynchronize(stream.get());
}

DeviceMemory Device::allocate(std::size_t bytes) {
  pool.free_surplus();
  try {
    return {memory, bytes};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
  }
  free_buried();
  pool.clear();
  return {memory, bytes};
}

void Device::trim() {
  stream.wait();
  free_buried();
  pool.clear();
}

void Device::bury(std::unique_ptr<Buried> thing) noexcept {
  const std::lock_guard<std::mutex> lock(buried_mutex_);
  Buried* last = thing.get();
  (last_buried_ == nullptr ? buried_ : last_buried_->next_) = std::move(thing);
  last_buried_ = last;
}

void Device::free_buried() noexcept {
  std::unique_ptr<Buried> first;
  {
    const std::lock_guard<std::mutex> lock(buried_mutex_);
    first = std::move(buried_);
    last_buried_ = nullptr;
  }
  while (first) first = std::move(first->next_);
}

void Device::check_alive() const {
  if (!dead_) return;
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  throw Error(ErrorCode::kDevice, "the card failed before, start a new process to use it again; it said: " + failure_);
}

void Device::note_failure(const std::string& text) {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  if (!dead_) failure_ = text;
  dead_ = true;
}

void make_current(int index) { check_cuda(cudaSetDevice(index), "choosing the card"); }

void ensure(Device& device, DeviceMemory& memory, std::size_t bytes) {
  if (memory.bytes() < bytes) memory = device.allocate(bytes);
}

}  // namespace dpm::cuda
