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

/// Device memory. Keeps its device open.
class Buffer {
 public:
  Buffer(std::shared_ptr<Device> device, std::uint64_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] dpm_buffer* get() const { return buffer_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool belongs_to(const Device& device) const { return device_.get() == &device; }
  /// Offsets and sizes in bytes.
  void upload(std::uint64_t offset, const void* data, std::uint64_t bytes);
  /// Sets `bytes` bytes from `offset` on to 0.
  void clear(std::uint64_t offset, std::uint64_t bytes);
  void download(std::uint64_t offset, void* data, std::uint64_t bytes) const;
  /// float32 elements as 8-bit levels (dpm_backend::download_levels); offset and size in elements.
  void download_levels(std::uint64_t offset, std::uint8_t* levels, std::uint64_t elements) const;
  /// Rows of `stride` elements from `offset` on.
  [[nodiscard]] dpm_view view(std::uint64_t stride, std::uint64_t offset = 0) const {
    return {buffer_, offset, stride};
  }

 private:
  std::shared_ptr<Device> device_;
  dpm_buffer* buffer_ = nullptr;
  std::uint64_t bytes_;
};

/// float32 elements of a buffer on their way to the host: what is asked of the device later does not change them.
class Transfer {
 public:
  /// `elements` elements from `offset` on, as floats or 8-bit levels. On devices with transfers.
  Transfer(std::shared_ptr<Device> device, const Buffer& buffer, std::uint64_t offset, std::uint64_t elements,
           bool as_levels);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Waits until they are there. They stay as long as the transfer does.
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

/// An open device. Used by one thread at a time.
class Device : public std::enable_shared_from_this<Device> {
 public:
  /// Throws Error(kDevice) when `name` cannot be used.
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
  /// What a plan of memory for it has to keep to.
  [[nodiscard]] graph::PlacementRules placement_rules() const {
    return {api_->residual_in_place != 0, api_->norms_are_joined != 0, api_->norms_complete_sums != 0};
  }
  [[nodiscard]] dpm_memory memory() const;
  /// Gives back what the device keeps of memory that was released.
  void trim();
  /// Bytes that `work` takes and keeps, of the host and of the device.
  template <typename Work>
  std::uint64_t bytes_taken_by(const Work& work) {
    const std::uint64_t before = used();
    work();
    // Use can also fall: a device may release memory that it had cached.
    return std::max(used(), before) - before;
  }
  /// Waits until everything that has been asked before is done: what is read back from `view` is there then.
  void wait_for(const dpm_view& view);
  /// Nothing where the device has nothing to tell.
  [[nodiscard]] std::optional<dpm_statistics> statistics() const;

  void gather(const dpm_gather& request);
  /// Throws Error(kArgument) when a record is out of range or uses a tensor that is absent; so does `reduce`.
  void update(const dpm_update& request);
  void reduce(const dpm_reduce& request);

 private:
  Device() = default;
  [[nodiscard]] std::uint64_t used() const;

  const dpm_backend* api_ = nullptr;
  dpm_device* device_ = nullptr;
  std::string name_;
  std::string description_;
};

}  // namespace dpm
