#include "cuda/device/device.h"

#include <algorithm>
#include <utility>

#include "cuda/runtime/check.h"

namespace {

/// Of one product: some algorithms of cuDNN would take gigabytes for little.
std::int64_t workspace_limit(const dpm::cuda::DeviceSettings& settings) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 30;
  constexpr std::uint64_t kShare = 16;
  return static_cast<std::int64_t>(std::min(kLimit, settings.card_memory / kShare));
}

}  // namespace

dpm_device::dpm_device(const dpm::cuda::DeviceSettings& chosen, const std::string& card)
    : settings(chosen),
      products(
          dpm::cuda::make_products(stream, {card, chosen.autotune, workspace_limit(chosen)}, &products_description)) {}

dpm::cuda::DeviceMemory dpm_device::allocate(std::size_t bytes) {
  try {
    return {memory, bytes};
  } catch (const dpm::Error& error) {
    if (error.code() != dpm::ErrorCode::kOutOfMemory) throw;
  }
  free_buried();
  pool.clear();
  return {memory, bytes};
}

void dpm_device::free_buried() {
  std::vector<std::shared_ptr<void>> freed;
  const std::lock_guard<std::mutex> lock(buried_mutex_);
  freed.swap(buried_);
}

void dpm_device::check_alive() const {
  if (!dead_) return;
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  throw dpm::Error(dpm::ErrorCode::kDevice,
                   "the card failed before, start a new process to use it again; it said: " + failure_);
}

void dpm_device::note_failure(const std::string& text) {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  if (!dead_) failure_ = text;
  dead_ = true;
}

namespace dpm::cuda {

void make_current(int index) { check_cuda(cudaSetDevice(index), "choosing the card"); }

void ensure(dpm_device& device, DeviceMemory& memory, std::size_t bytes) {
  if (memory.bytes() >= bytes) return;
  memory = DeviceMemory();
  memory = device.allocate(bytes);
}

}  // namespace dpm::cuda
