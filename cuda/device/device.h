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
#include "backend/handles.h"
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

/// What a device was opened with.
struct DeviceSettings {
  int index = 0;
  std::uint64_t card_memory = 0;  ///< bytes
  DType dtype = DType::kFloat32;
  bool tf32 = false;
  bool autotune = false;
  int capability = 0;  ///< compute capability times ten
  Switches switches;
};

/// Bytes of released memory that are kept for later.
constexpr std::size_t most_kept(const DeviceSettings& settings) {
  constexpr std::uint64_t kShare = 8;
  return static_cast<std::size_t>(settings.card_memory / kShare);
}

/// Something of a device that any thread may give up.
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

struct Device {
  /// On the current device, which has to be `settings.index`.
  Device(const DeviceSettings& chosen, const std::string& card);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceSettings settings;
  MemoryCount memory;
  Stream stream;
  /// For what may run beside the work of `stream`, which waits for it.
  Stream side;
  MemoryPool pool{most_kept(settings)};
  Staging staging;
  TransferPool transfers;
  Statistics statistics;
  std::string products_description;
  /// Null: our own kernels do everything.
  std::unique_ptr<Products> products;
  /// The samples of the update in progress, and their thresholds for dynamic clipping.
  DeviceMemory update_samples;
  DeviceMemory thresholds;
  DeviceMemory reductions;
  DeviceMemory levels;

  /// Memory of the card; what is kept for later is given up for it. Throws Error(kOutOfMemory).
  DeviceMemory allocate(std::size_t bytes);
  /// Gives up what is kept for later.
  void trim();
  /// Keeps what another thread has given up until the device's own next comes by: freeing memory of a card waits for
  /// all its work. Allocates nothing.
  void bury(std::unique_ptr<Buried> thing) noexcept;
  /// Frees that, the first first: executables go before their networks.
  void free_buried() noexcept;

  /// Throws Error(kDevice) once the card has failed.
  void check_alive() const;
  /// Remembers an error after which the card's context is of no use.
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

/// Makes card `index` the one this thread's CUDA calls go to.
void make_current(int index);

/// Runs `body` with the card current on this thread; what it throws becomes the returned status and `message`. After an
/// error of the card itself nothing more is run on it: its context stays broken until the process ends.
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

/// Replaces `memory` by at least `bytes`, if it has fewer. Its contents are lost then; where there is no memory it
/// stays as it was. What captured graphs name is not to be replaced but with them, or is part of their key.
void ensure(Device& device, DeviceMemory& memory, std::size_t bytes);

}  // namespace dpm::cuda
