// Conversion between the seam's opaque handles and a device's objects: the only place where handles are cast.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace dpm {

/// A placeholder for the transfers of a device that has none.
struct NoTransfer {};

/// The classes behind a device's handles; each device names them once, in its own namespace.
template <typename Device, typename Buffer, typename Network, typename Executable, typename Transfer = NoTransfer>
struct Handles {
  static Device& of(dpm_device* handle) noexcept { return *reinterpret_cast<Device*>(handle); }
  static Buffer& of(dpm_buffer* handle) noexcept { return *reinterpret_cast<Buffer*>(handle); }
  static const Buffer& of(const dpm_buffer* handle) noexcept { return *reinterpret_cast<const Buffer*>(handle); }
  static Network& of(dpm_network* handle) noexcept { return *reinterpret_cast<Network*>(handle); }
  static Executable& of(dpm_executable* handle) noexcept { return *reinterpret_cast<Executable*>(handle); }
  static const Transfer& of(const dpm_transfer* handle) noexcept { return *reinterpret_cast<const Transfer*>(handle); }

  /// Transfers ownership of an object to the holder of the handle.
  static dpm_device* give(std::unique_ptr<Device> object) noexcept {
    return reinterpret_cast<dpm_device*>(object.release());
  }
  static dpm_buffer* give(std::unique_ptr<Buffer> object) noexcept {
    return reinterpret_cast<dpm_buffer*>(object.release());
  }
  static dpm_network* give(std::unique_ptr<Network> object) noexcept {
    return reinterpret_cast<dpm_network*>(object.release());
  }
  static dpm_executable* give(std::unique_ptr<Executable> object) noexcept {
    return reinterpret_cast<dpm_executable*>(object.release());
  }
  static dpm_transfer* give(std::unique_ptr<Transfer> object) noexcept {
    return reinterpret_cast<dpm_transfer*>(object.release());
  }

  /// Takes ownership back; null for a null handle.
  static std::unique_ptr<Device> take(dpm_device* handle) noexcept {
    return std::unique_ptr<Device>{reinterpret_cast<Device*>(handle)};
  }
  static std::unique_ptr<Buffer> take(dpm_buffer* handle) noexcept {
    return std::unique_ptr<Buffer>{reinterpret_cast<Buffer*>(handle)};
  }
  static std::unique_ptr<Network> take(dpm_network* handle) noexcept {
    return std::unique_ptr<Network>{reinterpret_cast<Network*>(handle)};
  }
  static std::unique_ptr<Executable> take(dpm_executable* handle) noexcept {
    return std::unique_ptr<Executable>{reinterpret_cast<Executable*>(handle)};
  }
  static std::unique_ptr<Transfer> take(dpm_transfer* handle) noexcept {
    return std::unique_ptr<Transfer>{reinterpret_cast<Transfer*>(handle)};
  }
};

}  // namespace dpm
