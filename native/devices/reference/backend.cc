// The reference device's table and its entry point: a plug-in like any other.
#include <algorithm>
#include <cstring>
#include <memory>

#include "backend/guard.h"
#include "backend/update_math.h"
#include "core/dtype.h"
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) {
  if (index != 0) {
    set_message(reason, "there is one reference device");
    return 0;
  }
  set_message(description, "double-precision loops, for checking other devices");
  return 1;
}

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    if (static_cast<dpm::DType>(options->dtype) != dpm::DType::kFloat32) {
      throw dpm::Error(dpm::ErrorCode::kUnsupported,
                       "the reference device computes in double precision, dtype has to be f32");
    }
    if (options->tf32 != 0 || options->autotune != 0) {
      throw dpm::Error(dpm::ErrorCode::kUnsupported, "tf32 and autotune are options of cuda devices");
    }
    *device = std::make_unique<dpm_device>().release();
  });
}

void close(dpm_device* device) { std::unique_ptr<dpm_device>{device}.reset(); }

int threads(dpm_device* /*device*/) { return 1; }

std::uint32_t arena_element_bytes(dpm_device* /*device*/) { return sizeof(double); }

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) {
  return guarded(message, [&] {
    auto made = std::make_unique<dpm_buffer>();
    made->bytes.resize(bytes);
    device->used += bytes;
    device->peak = std::max(device->peak.load(), device->used.load());
    *buffer = made.release();
  });
}

void release(dpm_device* device, dpm_buffer* buffer) {
  if (buffer != nullptr) device->used -= buffer->bytes.size();
  std::unique_ptr<dpm_buffer>{buffer}.reset();
}

void check_range(const dpm_buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
  require(offset <= buffer.bytes.size() && bytes <= buffer.bytes.size() - offset, "a range leaves its buffer");
}

dpm_status upload(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, const void* data,
                  std::uint64_t bytes, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset, bytes);
    if (bytes > 0) std::memcpy(buffer->bytes.data() + offset, data, bytes);
  });
}

dpm_status download(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, void* data,
                    std::uint64_t bytes, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset, bytes);
    if (bytes > 0) std::memcpy(data, buffer->bytes.data() + offset, bytes);
  });
}

dpm_status download_levels(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                           std::uint64_t elements, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset * sizeof(float), elements * sizeof(float));
    const auto* values = reinterpret_cast<const float*>(buffer->bytes.data()) + offset;
    std::transform(values, values + elements, levels, update::level);
  });
}

int supports_node(dpm_device* /*device*/, const dpm_graph* graph, const dpm_node* node) {
  return supports(*graph, *node) ? 1 : 0;
}

dpm_status load(dpm_device* device, const dpm_graph* graph, dpm_network** network, dpm_message* message) {
  return guarded(message, [&] { *network = std::make_unique<dpm_network>(*device, *graph).release(); });
}

void unload(dpm_network* network) { std::unique_ptr<dpm_network>{network}.reset(); }

dpm_status compile(dpm_network* network, const dpm_plan* plan, dpm_executable** executable, dpm_message* message) {
  return guarded(message, [&] { *executable = std::make_unique<dpm_executable>(*network, *plan).release(); });
}

void discard(dpm_executable* executable) { std::unique_ptr<dpm_executable>{executable}.reset(); }

dpm_status run(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds, dpm_message* message) {
  return guarded(message, [&] { executable->run(*bindings, node_seconds); });
}

dpm_status gather_rows(dpm_device* /*device*/, const dpm_gather* request, dpm_message* message) {
  return guarded(message, [&] { gather(*request); });
}

dpm_status update_state(dpm_device* /*device*/, const dpm_update* request, dpm_message* message) {
  return guarded(message, [&] { update(*request); });
}

dpm_status reduce_state(dpm_device* /*device*/, const dpm_reduce* request, dpm_message* message) {
  return guarded(message, [&] { reduce(*request); });
}

void memory(dpm_device* device, dpm_memory* result) { *result = {device->used.load(), 0, device->peak.load()}; }

dpm_status peak(dpm_device* /*device*/, double* gflops, double* copy_gigabytes, dpm_message* message) {
  *gflops = *copy_gigabytes = 0;
  set_message(message, "the reference device is not made for speed");
  return static_cast<dpm_status>(ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dpm::reference

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() {
  namespace device = dpm::reference;
  static const dpm_backend table = {
      DPM_BACKEND_ABI,
      sizeof(dpm_backend),
      "reference",
      1,
      device::probe,
      device::open,
      device::close,
      device::threads,
      device::arena_element_bytes,
      device::allocate,
      device::release,
      device::upload,
      device::download,
      device::download_levels,
      device::supports_node,
      device::load,
      device::unload,
      device::compile,
      device::discard,
      device::run,
      device::gather_rows,
      device::update_state,
      device::reduce_state,
      nullptr,
      nullptr,
      device::memory,
      device::peak,
  };
  return &table;
}
