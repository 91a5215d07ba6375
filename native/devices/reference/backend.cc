// The reference device's table and its entry point: a plug-in like any other.
#include <algorithm>
#include <cstring>
#include <memory>

#include "backend/guard.h"
#include "backend/table.h"
#include "backend/update_math.h"
#include "core/dtype.h"
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
  if (index != 0) {
    set_message(reason, "there is one reference device");
    return 0;
  }
  set_message(description, "double-precision loops, for checking other devices");
  return 1;
}

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) noexcept {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    if (static_cast<dpm::DType>(options->dtype) != dpm::DType::kFloat32) {
      throw dpm::Error(dpm::ErrorCode::kUnsupported,
                       "the reference device computes in double precision, dtype has to be f32");
    }
    if (options->tf32 != 0 || options->autotune != 0) {
      throw dpm::Error(dpm::ErrorCode::kUnsupported, "tf32 and autotune are options of cuda devices");
    }
    *device = Handle::give(std::make_unique<Device>());
  });
}

void close(dpm_device* device) noexcept { Handle::take(device).reset(); }

int threads(dpm_device* /*device*/) noexcept { return 1; }

std::uint32_t arena_element_bytes(dpm_device* /*device*/) noexcept { return sizeof(double); }

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) noexcept {
  return guarded(message, [&] {
    auto made = std::make_unique<Buffer>();
    made->bytes.resize(bytes);
    Handle::of(device).used += bytes;
    Handle::of(device).peak = std::max(Handle::of(device).peak.load(), Handle::of(device).used.load());
    *buffer = Handle::give(std::move(made));
  });
}

void release(dpm_device* device, dpm_buffer* buffer) noexcept {
  if (buffer != nullptr) Handle::of(device).used -= Handle::of(buffer).bytes.size();
  Handle::take(buffer).reset();
}

void check_range(const Buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
  require(offset <= buffer.bytes.size() && bytes <= buffer.bytes.size() - offset, "a range leaves its buffer");
}

dpm_status upload(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, const void* data,
                  std::uint64_t bytes, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memcpy(Handle::of(buffer).bytes.data() + offset, data, bytes);
  });
}

dpm_status clear(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                 dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memset(Handle::of(buffer).bytes.data() + offset, 0, bytes);
  });
}

dpm_status download(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, void* data,
                    std::uint64_t bytes, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memcpy(data, Handle::of(buffer).bytes.data() + offset, bytes);
  });
}

dpm_status download_levels(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                           std::uint64_t elements, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset * sizeof(float), elements * sizeof(float));
    const auto* values = reinterpret_cast<const float*>(Handle::of(buffer).bytes.data()) + offset;
    std::transform(values, values + elements, levels, [](float value) { return update::level(value); });
  });
}

int supports_node(dpm_device* /*device*/, const dpm_graph* graph, const dpm_node* node) noexcept {
  return supports(*graph, *node) ? 1 : 0;
}

dpm_status load(dpm_device* device, const dpm_graph* graph, dpm_network** network, dpm_message* message) noexcept {
  return guarded(message, [&] { *network = Handle::give(std::make_unique<Network>(Handle::of(device), *graph)); });
}

void unload(dpm_network* network) noexcept { Handle::take(network).reset(); }

dpm_status compile(dpm_network* network, const dpm_plan* plan, dpm_executable** executable,
                   dpm_message* message) noexcept {
  return guarded(message,
                 [&] { *executable = Handle::give(std::make_unique<Executable>(Handle::of(network), *plan)); });
}

void discard(dpm_executable* executable) noexcept { Handle::take(executable).reset(); }

dpm_status run(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds,
               dpm_message* message) noexcept {
  return guarded(message, [&] { Handle::of(executable).run(*bindings, node_seconds); });
}

dpm_status gather_rows(dpm_device* /*device*/, const dpm_gather* request, dpm_message* message) noexcept {
  return guarded(message, [&] { gather(*request); });
}

dpm_status update_state(dpm_device* /*device*/, const dpm_update* request, dpm_message* message) noexcept {
  return guarded(message, [&] { update(*request); });
}

dpm_status reduce_state(dpm_device* /*device*/, const dpm_reduce* request, dpm_message* message) noexcept {
  return guarded(message, [&] { reduce(*request); });
}

void memory(dpm_device* device, dpm_memory* result) noexcept {
  *result = {Handle::of(device).used.load(), 0, Handle::of(device).peak.load()};
}

dpm_status peak(dpm_device* /*device*/, double* gflops, double* copy_gigabytes, dpm_message* message) noexcept {
  *gflops = *copy_gigabytes = 0;
  set_message(message, "the reference device is not made for speed");
  return static_cast<dpm_status>(ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dpm::reference

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() noexcept {
  namespace device = dpm::reference;
  static const dpm_backend table = {
      .abi_version = DPM_BACKEND_ABI,
      .struct_size = sizeof(dpm_backend),
      .layout_size = sizeof(dpm_layout),
      .layout = dpm::own_layout(),
      .name = "reference",
      .residual_in_place = 1,
      .norms_are_joined = 0,
      .norms_complete_sums = 0,
      .probe = device::probe,
      .open = device::open,
      .close = device::close,
      .threads = device::threads,
      .arena_element_bytes = device::arena_element_bytes,
      .allocate = device::allocate,
      .release = device::release,
      .upload = device::upload,
      .clear = device::clear,
      .download = device::download,
      .download_levels = device::download_levels,
      .begin_transfer = nullptr,
      .finish_transfer = nullptr,
      .end_transfer = nullptr,
      .supports = device::supports_node,
      .load = device::load,
      .unload = device::unload,
      .compile = device::compile,
      .discard = device::discard,
      .run = device::run,
      .padded = nullptr,
      .gather = device::gather_rows,
      .update = device::update_state,
      .reduce = device::reduce_state,
      .begin = nullptr,
      .advance = nullptr,
      .step = nullptr,
      .settle = nullptr,
      .memory = device::memory,
      .trim = nullptr,
      .statistics = nullptr,
      .peak = device::peak,
  };
  return &table;
}
