// The table of a device: its own class supplies what differs between devices, the common part is here.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "backend/backend.h"
#include "backend/guard.h"
#include "backend/update_math.h"
#include "core/error.h"

namespace dpm {

inline void check_range(std::uint64_t size, std::uint64_t offset, std::uint64_t bytes) {
  require(offset <= size && bytes <= size - offset, "a range leaves its buffer");
}

/// The entries that every device has. `Own` has the class `Handle` (Handles<...>), `name`, the flags of a memory plan,
/// `guarded(device, message, body)`, which runs a piece of work on a device, and a function for each entry, with
/// objects in place of handles.
template <typename Own>
struct Entries {
  using Handle = typename Own::Handle;

  static dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) noexcept {
    return dpm::guarded(message, [&] {
      require(options->struct_size >= sizeof *options, "the options are of an older version");
      *device = Handle::give(Own::open(*options));
    });
  }
  static void close(dpm_device* device) noexcept { Own::close(Handle::take(device)); }
  static int threads(dpm_device* device) noexcept { return Own::threads(Handle::of(device)); }
  static std::uint32_t arena_element_bytes(dpm_device* device) noexcept {
    return static_cast<std::uint32_t>(Own::arena_element_bytes(Handle::of(device)));
  }
  static void memory(dpm_device* device, dpm_memory* result) noexcept { *result = Own::memory(Handle::of(device)); }
  static dpm_status peak(dpm_device* device, double* gflops, double* copy_gigabytes, dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { Own::peak(own, *gflops, *copy_gigabytes); });
  }

  static int supports(dpm_device* device, const dpm_graph* graph, const dpm_node* node) noexcept {
    return Own::supports(Handle::of(device), *graph, *node) ? 1 : 0;
  }
  static dpm_status load(dpm_device* device, const dpm_graph* graph, dpm_network** network,
                         dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { *network = Handle::give(Own::load(own, *graph)); });
  }
  static void unload(dpm_network* network) noexcept {
    if (network != nullptr) Own::unload(Handle::take(network));
  }
  static dpm_status compile(dpm_network* network, const dpm_plan* plan, dpm_executable** executable,
                            dpm_message* message) noexcept {
    auto& own = Handle::of(network);
    return Own::guarded(own.device, message, [&] { *executable = Handle::give(Own::compile(own, *plan)); });
  }
  static void discard(dpm_executable* executable) noexcept {
    if (executable != nullptr) Own::discard(Handle::take(executable));
  }
  static dpm_status run(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds,
                        dpm_message* message) noexcept {
    auto& own = Handle::of(executable);
    return Own::guarded(own.network.device, message, [&] { Own::run(own, *bindings, node_seconds); });
  }

  static dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer,
                             dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { *buffer = Handle::give(Own::allocate(own, bytes)); });
  }
  static void release(dpm_device* device, dpm_buffer* buffer) noexcept {
    if (buffer != nullptr) Own::release(Handle::of(device), Handle::take(buffer));
  }
  static dpm_status upload(dpm_device* device, dpm_buffer* buffer, std::uint64_t offset, const void* data,
                           std::uint64_t bytes, dpm_message* message) noexcept {
    return within(device, buffer, offset, bytes, message,
                  [&](auto& own, auto* place) { Own::upload(own, place, data, bytes); });
  }
  static dpm_status clear(dpm_device* device, dpm_buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                          dpm_message* message) noexcept {
    return within(device, buffer, offset, bytes, message,
                  [&](auto& own, auto* place) { Own::clear(own, place, bytes); });
  }
  static dpm_status download(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, void* data,
                             std::uint64_t bytes, dpm_message* message) noexcept {
    return within(device, buffer, offset, bytes, message,
                  [&](auto& own, const auto* place) { Own::download(own, place, data, bytes); });
  }
  static dpm_status download_levels(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset,
                                    std::uint8_t* levels, std::uint64_t elements, dpm_message* message) noexcept {
    return within(device, buffer, offset * sizeof(float), elements * sizeof(float), message,
                  [&](auto& own, const auto* place) {
                    Own::download_levels(own, reinterpret_cast<const float*>(place), levels, elements);
                  });
  }
  static dpm_status gather(dpm_device* device, const dpm_gather* request, dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { Own::gather(own, *request); });
  }
  static dpm_status update(dpm_device* device, const dpm_update* request, dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { Own::update(own, *request); });
  }
  static dpm_status reduce(dpm_device* device, const dpm_reduce* request, dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { Own::reduce(own, *request); });
  }

  static dpm_status repack(dpm_network* network, const dpm_repack* request, dpm_message* message) noexcept {
    auto& own = Handle::of(network);
    return Own::guarded(own.device, message, [&] { Own::repack(own, *request); });
  }
  static dpm_status optimize(dpm_device* device, const dpm_optimize* request, dpm_message* message) noexcept {
    return on(device, message, [&](auto& own) { Own::optimize(own, *request); });
  }

  /// Returns the table without its optional entries.
  static constexpr dpm_backend table() {
    dpm_backend result{};
    result.abi_version = DPM_BACKEND_ABI;
    result.struct_size = sizeof(dpm_backend);
    result.struct_sizes = DPM_STRUCT_SIZES;
    result.name = Own::kName;
    result.residual_in_place = Own::kResidualInPlace;
    result.norms_are_joined = Own::kNormsAreJoined;
    result.norms_complete_sums = Own::kNormsCompleteSums;
    result.device = {Own::probe, open, close, threads, arena_element_bytes, memory, peak, nullptr, nullptr};
    result.network = {supports, load,    unload,  compile, discard, run,
                      nullptr,  nullptr, nullptr, nullptr, nullptr, nullptr};
    result.state = {allocate, release, upload, clear, download, download_levels, gather, update, reduce, nullptr};
    return result;
  }

  /// Returns the table with the entries that training takes, and no other optional ones.
  static constexpr dpm_backend training_table() {
    dpm_backend result = table();
    result.network.repack = repack;
    result.state.optimize = optimize;
    return result;
  }

 private:
  template <typename Body>
  static dpm_status on(dpm_device* device, dpm_message* message, const Body& body) noexcept {
    auto& own = Handle::of(device);
    return Own::guarded(own, message, [&] { body(own); });
  }
  /// Calls `body` with the device and the address of the range, whose size has been checked.
  template <typename Buffer, typename Body>
  static dpm_status within(dpm_device* device, Buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                           dpm_message* message, const Body& body) noexcept {
    return on(device, message, [&](auto& own) {
      check_range(Own::size(Handle::of(buffer)), offset, bytes);
      body(own, Own::data(Handle::of(buffer)) + offset);
    });
  }
};

/// The common part of devices whose memory is the host's.
struct HostDevice {
  static constexpr std::uint32_t kResidualInPlace = 1;
  static constexpr std::uint32_t kNormsAreJoined = 0;
  static constexpr std::uint32_t kNormsCompleteSums = 0;

  template <typename Body>
  static dpm_status guarded(const auto& /*device*/, dpm_message* message, const Body& body) noexcept {
    return dpm::guarded(message, body);
  }
  /// Throws Error(kUnsupported) for options that only GPUs have.
  static void refuse_card_options(const dpm_open_options& options) {
    if (options.tf32 == 0 && options.autotune == 0) return;
    throw Error(ErrorCode::kUnsupported, "tf32 and autotune are options of cuda devices");
  }

  // Objects free themselves when their handle is given up.
  static void close(const auto& /*device*/) noexcept {}
  static void unload(const auto& /*network*/) noexcept {}
  static void discard(const auto& /*executable*/) noexcept {}

  static void upload(const auto& /*device*/, unsigned char* place, const void* data, std::uint64_t bytes) {
    if (bytes > 0) std::memcpy(place, data, bytes);
  }
  static void clear(const auto& /*device*/, unsigned char* place, std::uint64_t bytes) {
    if (bytes > 0) std::memset(place, 0, bytes);
  }
  static void download(const auto& /*device*/, const unsigned char* place, void* data, std::uint64_t bytes) {
    if (bytes > 0) std::memcpy(data, place, bytes);
  }
};

}  // namespace dpm
