// An opened card: its stream, its memory, its products, and whether it still works.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/guard.h"
#include "core/dtype.h"
#include "core/error.h"
#include "cuda/products/products.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/staging.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// What a device was opened with.
struct DeviceSettings {
  int index = 0;
  std::uint64_t card_memory = 0;  ///< bytes
  DType dtype = DType::kFloat32;
  bool tf32 = false;
  bool autotune = false;
};

}  // namespace dpm::cuda

struct dpm_device {
  /// On the current device, which has to be `settings.index`.
  dpm_device(const dpm::cuda::DeviceSettings& chosen, const std::string& card);

  const dpm::cuda::DeviceSettings settings;
  dpm::MemoryCount memory;
  dpm::cuda::Stream stream;
  dpm::cuda::MemoryPool pool;
  dpm::cuda::Staging staging;
  std::string products_description;
  /// Null: our own kernels do everything.
  std::unique_ptr<dpm::cuda::Products> products;
  /// Of the update in progress: its samples and their thresholds.
  dpm::cuda::DeviceMemory update_samples;
  dpm::cuda::DeviceMemory thresholds;
  dpm::cuda::DeviceMemory reductions;
  dpm::cuda::DeviceMemory levels;

  /// Memory of the card; what is kept for later is given up for it. Throws Error(kOutOfMemory).
  dpm::cuda::DeviceMemory allocate(std::size_t bytes);
  /// Keeps what another thread has given up until the device's own next comes by: freeing memory of a card waits for
  /// all its work.
  template <typename T>
  void bury(std::unique_ptr<T> thing) {
    const std::lock_guard<std::mutex> lock(buried_mutex_);
    buried_.push_back(std::shared_ptr<T>(std::move(thing)));
  }
  void free_buried();

  /// Throws Error(kDevice) once the card has failed.
  void check_alive() const;
  /// Remembers an error after which the card's context is of no use.
  void note_failure(const std::string& text);

 private:
  std::atomic<bool> dead_{false};
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::mutex buried_mutex_;
  // Last, as networks use the rest when they go.
  std::vector<std::shared_ptr<void>> buried_;
};

struct dpm_buffer {
  dpm::cuda::DeviceMemory memory;
};

namespace dpm::cuda {

/// Makes card `index` the one this thread's CUDA calls go to.
void make_current(int index);

/// Runs `body` with the card current on this thread; what it throws becomes the returned status and `message`. After an
/// error of the card itself nothing more is run on it: its context stays broken until the process ends.
template <typename Body>
dpm_status on_device(dpm_device& device, dpm_message* message, const Body& body) noexcept {
  return guarded(message, [&] {
    device.check_alive();
    make_current(device.settings.index);
    try {
      body();
    } catch (const CardFailure& failure) {
      device.note_failure(failure.what());
      throw;
    }
  });
}

/// Replaces `memory` by at least `bytes`, if it has fewer. Its contents are lost.
void ensure(dpm_device& device, DeviceMemory& memory, std::size_t bytes);

}  // namespace dpm::cuda
