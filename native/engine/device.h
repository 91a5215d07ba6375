// RAII over the C ABI: an open device and its buffers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backend/backend.h"
#include "core/dtype.h"
#include "graph/planner.h"

namespace dpm {

class Device;

/// Device memory, which keeps its device open.
class Buffer {
 public:
  Buffer(std::shared_ptr<Device> device, std::uint64_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] dpm_buffer* get() const { return buffer_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool belongs_to(const Device& device) const { return device_.get() == &device; }
  /// Copies data to the device; offsets and sizes are in bytes.
  void upload(std::uint64_t offset, const void* data, std::uint64_t bytes);
  /// Sets `bytes` bytes from `offset` on to 0.
  void clear(std::uint64_t offset, std::uint64_t bytes);
  void download(std::uint64_t offset, void* data, std::uint64_t bytes) const;
  /// Copies float32 elements to the host as 8-bit levels (dpm_backend::download_levels); offset and size in elements.
  void download_levels(std::uint64_t offset, std::uint8_t* levels, std::uint64_t elements) const;
  /// Returns a view of rows of `stride` elements, from `offset` on.
  [[nodiscard]] dpm_view view(std::uint64_t stride, std::uint64_t offset = 0) const {
    return {buffer_, offset, stride};
  }

 private:
  std::shared_ptr<Device> device_;
  dpm_buffer* buffer_ = nullptr;
  std::uint64_t bytes_;
};

/// A copy of a buffer's float32 elements to the host; work that is queued later does not change it.
class Transfer {
 public:
  /// Begins to copy `elements` elements from `offset` on, as floats or 8-bit levels; for devices that have transfers.
  Transfer(std::shared_ptr<Device> device, const Buffer& buffer, std::uint64_t offset, std::uint64_t elements,
           bool as_levels);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Waits for the elements, which stay valid as long as the transfer lives.
  [[nodiscard]] const void* values() const;

 private:
  std::shared_ptr<Device> device_;
  dpm_transfer* transfer_ = nullptr;
};

struct DeviceOptions {
  int threads = 0;
  bool exact = false;
  DType dtype = DType::kFloat32;
  bool tf32 = false;
  bool autotune = false;
};

/// An open device, used by one thread at a time.
class Device : public std::enable_shared_from_this<Device> {
 public:
  /// Opens the device `name`. Throws Error(kDevice) when it cannot be used.
  static std::shared_ptr<Device> open(const std::string& name, const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const dpm_backend& api() const { return *api_; }
  [[nodiscard]] dpm_device* get() const { return device_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& description() const { return description_; }
  [[nodiscard]] int threads() const { return api_->device.threads(device_); }

  std::shared_ptr<Buffer> allocate(std::uint64_t bytes);
  /// Rules that a memory plan for this device must follow.
  [[nodiscard]] graph::PlacementRules placement_rules() const {
    return {api_->residual_in_place != 0, api_->norms_are_joined != 0, api_->norms_complete_sums != 0};
  }
  [[nodiscard]] dpm_memory memory() const;
  /// Frees the device's cache of released memory.
  void trim();
  /// Returns the bytes that `work` allocates and keeps, on the host and on the device.
  template <typename Work>
  std::uint64_t bytes_taken_by(const Work& work) {
    const std::uint64_t before = used();
    work();
    // Memory in use can also fall: a device may release memory that it had cached.
    return std::max(used(), before) - before;
  }
  /// Waits for all work queued so far, so that values read from `view` are final.
  void wait_for(const dpm_view& view);
  /// Statistics of the device's work; empty where the device has none.
  [[nodiscard]] std::optional<dpm_statistics> statistics() const;

  void gather(const dpm_gather& request);
  /// Runs a fused update. Throws Error(kArgument), as `reduce` does, when a record is out of range or uses a tensor
  /// that is absent.
  void update(const dpm_update& request);
  void reduce(const dpm_reduce& request);
  /// Takes a step of an optimiser. Throws Error(kUnsupported) naming the device where it does not.
  void optimize(const dpm_optimize& request);

 private:
  Device() = default;
  [[nodiscard]] std::uint64_t used() const;

  const dpm_backend* api_ = nullptr;
  dpm_device* device_ = nullptr;
  std::string name_;
  std::string description_;
};

}  // namespace dpm
