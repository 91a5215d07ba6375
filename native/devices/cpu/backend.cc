#include "devices/cpu/backend.h"

#include <cstring>
#include <string>

#include "backend/guard.h"
#include "backend/update_math.h"
#include "core/dtype.h"
#include "core/flush_denormals.h"
#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/isa_select.h"
#include "devices/cpu/network.h"
#include "devices/cpu/peak.h"
#include "devices/cpu/state.h"

namespace dpm::cpu {
namespace {

void check_range(const dpm_buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
  require(offset <= buffer.memory.size() && bytes <= buffer.memory.size() - offset, "a range leaves its buffer");
}

/// See dpm_device::bf16_terms. Throws Error(kUnsupported).
int bf16_terms(const IsaKernels& isa, DType dtype, bool exact) {
  switch (dtype) {
    case DType::kFloat32:
      return isa.bf16 != nullptr && isa.bf16->beats_float && !exact ? 2 : 0;
    case DType::kBFloat16:
      if (exact) throw Error(ErrorCode::kUnsupported, "dtype bf16 contradicts exact");
      if (isa.bf16 != nullptr) return 1;
      throw Error(ErrorCode::kUnsupported,
                  std::string("dtype bf16 needs a processor with AVX512-BF16 or AMX, this is ") + isa.name +
                      "; f32 is the fastest here");
    default:
      throw Error(ErrorCode::kUnsupported, "the cpu device computes in f32 or bf16");
  }
}

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) {
  if (index != 0) {
    set_message(reason, "there is one cpu device");
    return 0;
  }
  try {
    set_message(description, std::string(select_isa().name) + ", " + std::to_string(available_processors()) +
                                 " threads (built in and usable: " + available_isas() + ")");
    return 10;
  } catch (...) {
    set_message(reason, current_error().second);
    return 0;
  }
}

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    require(options->threads >= 0 && options->threads <= 1024, "threads must be between 0 and 1024");
    const int threads = options->threads > 0 ? options->threads : available_processors();
    const IsaKernels& isa = select_isa();
    if (options->tf32 != 0 || options->autotune != 0) {
      throw Error(ErrorCode::kUnsupported, "tf32 and autotune are options of cuda devices");
    }
    const bool exact = options->exact != 0;
    const int terms = bf16_terms(isa, static_cast<DType>(options->dtype), exact);
    *device = std::make_unique<dpm_device>(threads, isa, exact, terms).release();
  });
}

void close(dpm_device* device) { std::unique_ptr<dpm_device>{device}.reset(); }

int threads(dpm_device* device) { return device->pool.threads(); }

std::uint32_t arena_element_bytes(dpm_device* /*device*/) { return sizeof(float); }

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) {
  return guarded(message, [&] {
    auto made = std::make_unique<dpm_buffer>();
    made->memory = CountedBuffer(device->memory, bytes);
    *buffer = made.release();
  });
}

void release(dpm_device* /*device*/, dpm_buffer* buffer) { std::unique_ptr<dpm_buffer>{buffer}.reset(); }

dpm_status upload(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, const void* data,
                  std::uint64_t bytes, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset, bytes);
    if (bytes > 0) std::memcpy(static_cast<char*>(buffer->memory.data()) + offset, data, bytes);
  });
}

dpm_status download(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, void* data,
                    std::uint64_t bytes, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset, bytes);
    if (bytes > 0) std::memcpy(data, static_cast<const char*>(buffer->memory.data()) + offset, bytes);
  });
}

dpm_status download_levels(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                           std::uint64_t elements, dpm_message* message) {
  return guarded(message, [&] {
    check_range(*buffer, offset * sizeof(float), elements * sizeof(float));
    constexpr std::uint64_t kChunk = 16384;
    const float* values = buffer->memory.floats() + offset;
    device->pool.parallel_for(static_cast<std::int64_t>((elements + kChunk - 1) / kChunk),
                              [&](std::int64_t chunk, int) {
                                const std::uint64_t first = static_cast<std::uint64_t>(chunk) * kChunk;
                                const std::uint64_t last = std::min(elements, first + kChunk);
                                for (std::uint64_t i = first; i < last; ++i) levels[i] = update::level(values[i]);
                              });
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
  return guarded(message, [&] {
    const FlushDenormals flush;
    executable->run(*bindings, node_seconds);
  });
}

dpm_status gather_rows(dpm_device* device, const dpm_gather* request, dpm_message* message) {
  return guarded(message, [&] {
    const FlushDenormals flush;
    gather(*device, *request);
  });
}

dpm_status update_state(dpm_device* device, const dpm_update* request, dpm_message* message) {
  return guarded(message, [&] {
    const FlushDenormals flush;
    update(*device, *request);
  });
}

dpm_status reduce_state(dpm_device* device, const dpm_reduce* request, dpm_message* message) {
  return guarded(message, [&] {
    const FlushDenormals flush;
    reduce(*device, *request);
  });
}

void memory(dpm_device* device, dpm_memory* result) {
  // The CPU's device memory is host memory.
  *result = {device->memory.used(), 0, device->memory.peak()};
}

dpm_status peak(dpm_device* device, double* gflops, double* copy_gigabytes, dpm_message* message) {
  return guarded(message, [&] {
    const FlushDenormals flush;
    *gflops = measure_gflops(*device);
    *copy_gigabytes = measure_copy_gigabytes(*device);
  });
}

}  // namespace

const dpm_backend& backend() {
  static const dpm_backend table = {
      DPM_BACKEND_ABI,
      sizeof(dpm_backend),
      "cpu",
      1,
      probe,
      open,
      close,
      threads,
      arena_element_bytes,
      allocate,
      release,
      upload,
      download,
      download_levels,
      supports_node,
      load,
      unload,
      compile,
      discard,
      run,
      gather_rows,
      update_state,
      reduce_state,
      nullptr,
      nullptr,
      memory,
      peak,
  };
  return table;
}

}  // namespace dpm::cpu
