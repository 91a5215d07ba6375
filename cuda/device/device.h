// An opened GPU: its stream, its memory, its products, and whether it still works.
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
#include "backend/handles.h"
#include "backend/weight_cache.h"
#include "core/dtype.h"
#include "core/error.h"
#include "cuda/device/statistics.h"
#include "cuda/device/transfers.h"
#include "cuda/products/products.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/staging.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Settings that a device was opened with.
struct DeviceSettings {
  int index = 0;
  std::uint64_t card_memory = 0;  ///< memory of the GPU in bytes
  DType dtype = DType::kFloat32;
  bool tf32 = false;
  bool autotune = false;
  int capability = 0;  ///< compute capability times ten
  Switches switches;
};

/// Maximum of released memory that is kept for later, in bytes.
constexpr std::size_t most_kept(const DeviceSettings& settings) {
  constexpr std::uint64_t kShare = 8;
  return static_cast<std::size_t>(settings.card_memory / kShare);
}

/// An object of a device that any thread may release.
class Buried {
 public:
  Buried() = default;
  virtual ~Buried() = default;
  Buried(const Buried&) = delete;
  Buried& operator=(const Buried&) = delete;

 private:
  friend struct Device;
  std::unique_ptr<Buried> next_;
};

/// Packed weights, which networks share.
struct PackedWeights : DeviceMemory {
  explicit PackedWeights(DeviceMemory memory) : DeviceMemory(std::move(memory)) {}

  std::uint64_t version = 0;  ///< number of the parameters that they were packed from (dpm_repack); 0: as loaded
};

struct Device {
  /// Opens the current device, which has to be `settings.index`.
  Device(const DeviceSettings& chosen, const std::string& card);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceSettings settings;
  MemoryCount memory;
  Stream stream;
  /// Stream for work beside that of `stream`, which waits for it.
  Stream side;
  MemoryPool pool{most_kept(settings)};
  WeightCache<PackedWeights> weights;
  Staging staging;
  TransferPool transfers;
  Statistics statistics;
  std::string products_description;
  /// The vendor library's products; null: our own kernels do everything.
  std::unique_ptr<Products> products;
  /// The samples of the update in progress, and their thresholds for dynamic clipping.
  DeviceMemory update_samples;
  DeviceMemory thresholds;
  DeviceMemory reductions;
  DeviceMemory levels;

  /// Allocates memory of the GPU, freeing kept memory if necessary. Throws Error(kOutOfMemory).
  DeviceMemory allocate(std::size_t bytes);
  /// Frees the memory that is kept for later.
  void trim();
  /// Stores an object that another thread has released until the device's own thread frees it: freeing memory of a GPU
  /// waits for all its work. Allocates nothing.
  void bury(std::unique_ptr<Buried> thing) noexcept;
  /// Frees the buried objects in their order, so that executables go before their networks.
  void free_buried() noexcept;

  /// Throws Error(kDevice) once the GPU has failed.
  void check_alive() const;
  /// Stores an error after which the GPU's context is unusable.
  void note_failure(const std::string& text);

 private:
  std::atomic<bool> dead_{false};
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::mutex buried_mutex_;
  std::unique_ptr<Buried> buried_;
  Buried* last_buried_ = nullptr;
};

struct Buffer {
  DeviceMemory memory;
};

struct Network;
struct Executable;
using Handle = Handles<Device, Buffer, Network, Executable, Transfer>;

/// Makes GPU `index` current for this thread's CUDA calls.
void make_current(int index);

/// Runs `body` with the GPU current on this thread; exceptions become the returned status and `message`. After an error
/// of the GPU itself nothing more is run on it: its context stays broken until the process ends.
template <typename Body>
dpm_status on_device(Device& device, dpm_message* message, const Body& body) noexcept {
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

/// Replaces `memory` by at least `bytes`, if it has fewer. Its contents are then lost; if the allocation fails, it
/// stays as it was. Memory that captured graphs refer to may only be replaced together with these graphs, or is part of
/// their key.
void ensure(Device& device, DeviceMemory& memory, std::size_t bytes);

}  // namespace dpm::cuda
