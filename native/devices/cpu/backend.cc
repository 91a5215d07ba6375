#include "devices/cpu/backend.h"

#include <cstring>
#include <string>

#include "backend/guard.h"
#include "backend/table.h"
#include "backend/update_math.h"
#include "core/dtype.h"
#include "core/flush_denormals.h"
#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/isa_select.h"
#include "devices/cpu/network.h"
#include "devices/cpu/peak.h"
#include "devices/cpu/state.h"
#include "platform/threads.h"

namespace dpm::cpu {
namespace {

void check_range(const Buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
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

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
  if (index != 0) {
    set_message(reason, "there is one cpu device");
    return 0;
  }
  try {
    set_message(description, std::string(select_isa().name) + ", " + std::to_string(platform::available_processors()) +
                                 " threads (built in and usable: " + available_isas() + ")");
    return 10;
  } catch (...) {
    set_message(reason, current_error().second);
    return 0;
  }
}

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) noexcept {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    require(options->threads >= 0 && options->threads <= 1024, "threads must be between 0 and 1024");
    const IsaKernels& isa = select_isa();
    if (options->tf32 != 0 || options->autotune != 0) {
      throw Error(ErrorCode::kUnsupported, "tf32 and autotune are options of cuda devices");
    }
    const bool exact = options->exact != 0;
    const int terms = bf16_terms(isa, static_cast<DType>(options->dtype), exact);
    *device = Handle::give(std::make_unique<Device>(options->threads, isa, exact, terms));
  });
}

void close(dpm_device* device) noexcept { Handle::take(device).reset(); }

int threads(dpm_device* device) noexcept { return Handle::of(device).pool.threads(); }

std::uint32_t arena_element_bytes(dpm_device* /*device*/) noexcept { return sizeof(float); }

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) noexcept {
  return guarded(message, [&] {
    auto made = std::make_unique<Buffer>();
    made->memory = CountedBuffer(Handle::of(device).memory, bytes);
    *buffer = Handle::give(std::move(made));
  });
}

void release(dpm_device* /*device*/, dpm_buffer* buffer) noexcept { Handle::take(buffer).reset(); }

dpm_status upload(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, const void* data,
                  std::uint64_t bytes, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memcpy(static_cast<char*>(Handle::of(buffer).memory.data()) + offset, data, bytes);
  });
}

dpm_status clear(dpm_device* /*device*/, dpm_buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                 dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memset(static_cast<char*>(Handle::of(buffer).memory.data()) + offset, 0, bytes);
  });
}

dpm_status download(dpm_device* /*device*/, const dpm_buffer* buffer, std::uint64_t offset, void* data,
                    std::uint64_t bytes, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    if (bytes > 0) std::memcpy(data, static_cast<const char*>(Handle::of(buffer).memory.data()) + offset, bytes);
  });
}

dpm_status download_levels(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                           std::uint64_t elements, dpm_message* message) noexcept {
  return guarded(message, [&] {
    check_range(Handle::of(buffer), offset * sizeof(float), elements * sizeof(float));
    constexpr std::uint64_t kChunk = 16384;
    const float* values = Handle::of(buffer).memory.floats() + offset;
    Handle::of(device).pool.parallel_for(static_cast<std::int64_t>((elements + kChunk - 1) / kChunk),
                                         [&](std::int64_t chunk, int) {
                                           const std::uint64_t first = static_cast<std::uint64_t>(chunk) * kChunk;
                                           const std::uint64_t last = std::min(elements, first + kChunk);
                                           for (std::uint64_t i = first; i < last; ++i)
                                             levels[i] = update::level(values[i]);
                                         });
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
  return guarded(message, [&] {
    const FlushDenormals flush;
    Handle::of(executable).run(*bindings, node_seconds);
  });
}

dpm_status gather_rows(dpm_device* device, const dpm_gather* request, dpm_message* message) noexcept {
  return guarded(message, [&] {
    const FlushDenormals flush;
    gather(Handle::of(device), *request);
  });
}

dpm_status update_state(dpm_device* device, const dpm_update* request, dpm_message* message) noexcept {
  return guarded(message, [&] {
    const FlushDenormals flush;
    update(Handle::of(device), *request);
  });
}

dpm_status reduce_state(dpm_device* device, const dpm_reduce* request, dpm_message* message) noexcept {
  return guarded(message, [&] {
    const FlushDenormals flush;
    reduce(Handle::of(device), *request);
  });
}

void memory(dpm_device* device, dpm_memory* result) noexcept {
  // The CPU's device memory is host memory.
  *result = {Handle::of(device).memory.used(), 0, Handle::of(device).memory.peak()};
}

dpm_status peak(dpm_device* device, double* gflops, double* copy_gigabytes, dpm_message* message) noexcept {
  return guarded(message, [&] {
    const FlushDenormals flush;
    *gflops = measure_gflops(Handle::of(device));
    *copy_gigabytes = measure_copy_gigabytes(Handle::of(device));
  });
}

}  // namespace

const dpm_backend& backend() {
  static const dpm_backend table = {
      .abi_version = DPM_BACKEND_ABI,
      .struct_size = sizeof(dpm_backend),
      .layout_size = sizeof(dpm_layout),
      .layout = own_layout(),
      .name = "cpu",
      .residual_in_place = 1,
      .norms_are_joined = 0,
      .norms_complete_sums = 0,
      .probe = probe,
      .open = open,
      .close = close,
      .threads = threads,
      .arena_element_bytes = arena_element_bytes,
      .allocate = allocate,
      .release = release,
      .upload = upload,
      .clear = clear,
      .download = download,
      .download_levels = download_levels,
      .begin_transfer = nullptr,
      .finish_transfer = nullptr,
      .end_transfer = nullptr,
      .supports = supports_node,
      .load = load,
      .unload = unload,
      .compile = compile,
      .discard = discard,
      .run = run,
      .padded = nullptr,
      .gather = gather_rows,
      .update = update_state,
      .reduce = reduce_state,
      .begin = nullptr,
      .advance = nullptr,
      .step = nullptr,
      .settle = nullptr,
      .memory = memory,
      .trim = nullptr,
      .statistics = nullptr,
      .peak = peak,
  };
  return table;
}

}  // namespace dpm::cpu
