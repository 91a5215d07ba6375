#include "cuda/device.h"

#include <utility>

#include "cuda/runtime/check.h"

dpm_device::dpm_device(const dpm::cuda::DeviceSettings& chosen, const std::string& card)
    : settings(chosen),
      pool(memory),
      products(dpm::cuda::make_products(stream, {card, chosen.autotune}, &products_description)) {}

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
  if (memory.bytes() < bytes) memory = DeviceMemory(device.memory, bytes);
}

}  // namespace dpm::cuda
