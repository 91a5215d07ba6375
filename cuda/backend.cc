// The CUDA device's table and its entry point.
#include <cstdio>
#include <memory>
#include <string>

#include "backend/table.h"
#include "cuda/device/device.h"
#include "cuda/execution/batch_step.h"
#include "cuda/execution/executable.h"
#include "cuda/execution/state.h"
#include "cuda/execution/trajectory.h"
#include "cuda/peak.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// Kernels are compiled from this architecture on: it is the first whose tensor cores multiply bfloat16 numbers.
constexpr int kOldestMajor = 8;
/// Higher than the cpu's, so that `auto` prefers a card.
constexpr int kScore = 100;

struct NoSuchCard : Error {
  explicit NoSuchCard(const std::string& message) : Error(ErrorCode::kDevice, message) {}
};
struct OldDriver : Error {
  explicit OldDriver(const std::string& message) : Error(ErrorCode::kDevice, message) {}
};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// The CUDA that this plug-in was built with.
int own_major() {
  int runtime = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  return runtime / 1000;
}

/// NVIDIA's first driver for each CUDA; any later one serves it, too.
std::string oldest_driver(int major) { return major >= 13 ? "R580" : "R525"; }

/// Throws why there are no cards for `index` to be one of.
[[noreturn]] void refuse(cudaError_t error, int index) {
  (void)cudaGetLastError();
  std::string why = std::string("there is no card: ") + cudaGetErrorString(error);
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess) {
    const int major = own_major();
    why = driver == 0 ? "there is no NVIDIA driver"
                      : "the NVIDIA driver is too old: it supports CUDA " + version_text(driver) + ", CUDA " +
                            std::to_string(major) + " needs " + oldest_driver(major) + " or newer";
  }
  if (index > 0) throw NoSuchCard(why);
  if (driver != 0) throw OldDriver(why);
  throw Error(ErrorCode::kDevice, why);
}

/// Properties of card `index`. Throws Error(kDevice) saying why it cannot be used.
cudaDeviceProp usable_card(int index) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) refuse(error, index);
  if (index < 0 || index >= count) {
    throw NoSuchCard("there is no card " + std::to_string(index) + ", only " + std::to_string(count));
  }
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, index), "describing the card");
  if (properties.major < kOldestMajor) {
    throw Error(ErrorCode::kDevice, std::string(properties.name) + " has compute capability " +
                                        std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                                        ", at least 8.0 is needed");
  }
  return properties;
}

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
  try {
    const cudaDeviceProp card = usable_card(index);
    set_message(description, std::string(card.name) + ", compute capability " + std::to_string(card.major) + "." +
                                 std::to_string(card.minor) + ", " + std::to_string(card.totalGlobalMem >> 20) +
                                 " MiB, CUDA " + std::to_string(own_major()) + " plug-in, " +
                                 describe_products(read_switches()));
    return kScore;
  } catch (const NoSuchCard& error) {
    set_message(reason, error.what());
    return DPM_PROBE_NO_SUCH_DEVICE;
  } catch (const OldDriver& error) {
    set_message(reason, error.what());
    return DPM_PROBE_OLD_DRIVER;
  } catch (...) {
    set_message(reason, current_error().second);
    return DPM_PROBE_UNUSABLE;
  }
}

DeviceSettings settings_of(const dpm_open_options& options) {
  DeviceSettings settings;
  settings.index = options.index;
  settings.dtype = static_cast<DType>(options.dtype);
  settings.tf32 = options.tf32 != 0;
  settings.autotune = options.autotune != 0;
  const bool reduced = settings.dtype != DType::kFloat32;
  if (reduced && options.exact != 0)
    throw Error(ErrorCode::kUnsupported, "exact computes in f32: leave dtype out or f32");
  if (reduced && settings.tf32) throw Error(ErrorCode::kUnsupported, "tf32 is of dtype f32");
  if (options.exact != 0 && settings.tf32) throw Error(ErrorCode::kUnsupported, "tf32 contradicts exact");
  return settings;
}

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) noexcept {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    DeviceSettings settings = settings_of(*options);
    const cudaDeviceProp card = usable_card(settings.index);
    make_current(settings.index);
    settings.card_memory = card.totalGlobalMem;
    settings.capability = 10 * card.major + card.minor;
    settings.switches = read_switches();
    *device = Handle::give(std::make_unique<Device>(settings, card.name));
  });
}

void close(dpm_device* device) noexcept {
  (void)cudaSetDevice(Handle::of(device).settings.index);
  Handle::take(device).reset();
}

int threads(dpm_device* /*device*/) noexcept { return 1; }

std::uint32_t arena_element_bytes(dpm_device* device) noexcept {
  return static_cast<std::uint32_t>(dtype_size(Handle::of(device).settings.dtype));
}

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    Device& card = Handle::of(device);
    auto made = std::make_unique<Buffer>();
    made->memory = card.pool.take(bytes);
    if (made->memory.bytes() < bytes) made->memory = card.allocate(bytes);
    *buffer = Handle::give(std::move(made));
  });
}

void release(dpm_device* device, dpm_buffer* buffer) noexcept {
  if (buffer == nullptr) return;
  Handle::of(device).pool.give(std::move(Handle::of(buffer).memory));
  Handle::take(buffer).reset();
}

void check_range(const Buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t size = buffer.memory.bytes();
  require(offset <= size && bytes <= size - offset, "a range leaves its buffer");
}

dpm_status upload(dpm_device* device, dpm_buffer* buffer, std::uint64_t offset, const void* data, std::uint64_t bytes,
                  dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    Device& card = Handle::of(device);
    card.staging.upload(card.stream, Handle::of(buffer).memory.as<unsigned char>() + offset, data, bytes);
  });
}

dpm_status clear(dpm_device* device, dpm_buffer* buffer, std::uint64_t offset, std::uint64_t bytes,
                 dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    auto* const data = Handle::of(buffer).memory.as<unsigned char>() + offset;
    check_cuda(cudaMemsetAsync(data, 0, bytes, Handle::of(device).stream.get()), "clearing a buffer");
  });
}

dpm_status download(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, void* data, std::uint64_t bytes,
                    dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer), offset, bytes);
    Device& card = Handle::of(device);
    card.staging.download(card.stream, Handle::of(buffer).memory.as<unsigned char>() + offset, data, bytes);
  });
}

dpm_status download_as_levels(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                              std::uint64_t elements, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer), offset * sizeof(float), elements * sizeof(float));
    download_levels(Handle::of(device), Handle::of(buffer).memory.as<float>() + offset, levels, elements);
  });
}

dpm_status start_transfer(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint64_t elements,
                          std::uint32_t as_levels, dpm_transfer** transfer, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer), offset * sizeof(float), elements * sizeof(float));
    const float* values = Handle::of(buffer).memory.as<float>() + offset;
    *transfer = Handle::give(begin_transfer(Handle::of(device), values, elements, as_levels != 0));
  });
}

dpm_status finish_transfer(dpm_device* device, const dpm_transfer* transfer, const void** values,
                           dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    Handle::of(transfer).end.wait();
    *values = Handle::of(transfer).memory.data();
  });
}

void end_transfer(dpm_device* device, dpm_transfer* transfer) noexcept {
  if (transfer != nullptr) Handle::of(device).transfers.give(Handle::take(transfer));
}

int supports_node(dpm_device* device, const dpm_graph* graph, const dpm_node* node) noexcept {
  return supports(Handle::of(device), *graph, *node) ? 1 : 0;
}

dpm_status load(dpm_device* device, const dpm_graph* graph, dpm_network** network, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    Handle::of(device).free_buried();
    *network = Handle::give(std::make_unique<Network>(Handle::of(device), *graph));
  });
}

void unload(dpm_network* network) noexcept { Handle::of(network).device.bury(Handle::take(network)); }

dpm_status compile(dpm_network* network, const dpm_plan* plan, dpm_executable** executable,
                   dpm_message* message) noexcept {
  return on_device(Handle::of(network).device, message, [&] {
    Handle::of(network).device.free_buried();
    auto made = std::make_unique<Executable>(Handle::of(network), *plan);
    made->prepare(static_cast<int>(plan->batch));
    *executable = Handle::give(std::move(made));
  });
}

void discard(dpm_executable* executable) noexcept {
  Handle::of(executable).network.device.bury(Handle::take(executable));
}

dpm_status run(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds,
               dpm_message* message) noexcept {
  return on_device(Handle::of(executable).network.device, message,
                   [&] { Handle::of(executable).run(*bindings, node_seconds); });
}

std::uint32_t padded(dpm_executable* executable, std::uint32_t rows) noexcept {
  return static_cast<std::uint32_t>(Handle::of(executable).computed(static_cast<int>(rows)));
}

dpm_status gather_rows(dpm_device* device, const dpm_gather* request, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] { gather(Handle::of(device), *request); });
}

dpm_status update_state(dpm_device* device, const dpm_update* request, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] { update(Handle::of(device), *request); });
}

dpm_status reduce_state(dpm_device* device, const dpm_reduce* request, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] { reduce(Handle::of(device), *request); });
}

dpm_status begin(dpm_executable* executable, const dpm_trajectory* request, dpm_message* message) noexcept {
  return on_device(Handle::of(executable).network.device, message, [&] {
    Executable& made = Handle::of(executable);
    if (!made.trajectory) made.trajectory = std::make_unique<Trajectory>(made);
    made.trajectory->begin(*request);
  });
}

dpm_status advance(dpm_executable* executable, std::uint32_t steps, std::uint32_t wait, dpm_message* message) noexcept {
  return on_device(Handle::of(executable).network.device, message, [&] {
    const auto& trajectory = Handle::of(executable).trajectory;
    require(trajectory != nullptr, "no trajectory has been begun");
    trajectory->advance(steps, wait != 0);
  });
}

dpm_status step(dpm_executable* executable, const dpm_step* request, double* seconds, dpm_message* message) noexcept {
  return on_device(Handle::of(executable).network.device, message, [&] {
    Executable& made = Handle::of(executable);
    if (!made.batch_step) made.batch_step = std::make_unique<BatchStep>(made);
    *seconds = made.batch_step->run(*request);
  });
}

dpm_status settle(dpm_executable* executable, const void* owner, double* seconds, dpm_message* message) noexcept {
  return on_device(Handle::of(executable).network.device, message, [&] {
    const auto& last = Handle::of(executable).batch_step;
    *seconds = last ? last->settle(owner) : 0;
  });
}

void memory(dpm_device* device, dpm_memory* result) noexcept {
  const MemoryCount& count = Handle::of(device).memory;
  *result = {0, count.used(), count.peak()};
}

dpm_status trim(dpm_device* device, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] { Handle::of(device).trim(); });
}

void statistics(dpm_device* device, dpm_statistics* result) noexcept { *result = Handle::of(device).statistics.read(); }

dpm_status peak(dpm_device* device, double* gflops, double* gigabytes, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    *gflops = float_gigaflops(Handle::of(device));
    *gigabytes = copy_gigabytes(Handle::of(device));
  });
}

}  // namespace
}  // namespace dpm::cuda

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() noexcept {
  namespace device = dpm::cuda;
  static const dpm_backend table = {
      .abi_version = DPM_BACKEND_ABI,
      .struct_size = sizeof(dpm_backend),
      .layout_size = sizeof(dpm_layout),
      .layout = dpm::own_layout(),
      .name = "cuda",
      .residual_in_place = 0,
      .norms_are_joined = 1,
      .norms_complete_sums = 1,
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
      .download_levels = device::download_as_levels,
      .begin_transfer = device::start_transfer,
      .finish_transfer = device::finish_transfer,
      .end_transfer = device::end_transfer,
      .supports = device::supports_node,
      .load = device::load,
      .unload = device::unload,
      .compile = device::compile,
      .discard = device::discard,
      .run = device::run,
      .padded = device::padded,
      .gather = device::gather_rows,
      .update = device::update_state,
      .reduce = device::reduce_state,
      .begin = device::begin,
      .advance = device::advance,
      .step = device::step,
      .settle = device::settle,
      .memory = device::memory,
      .trim = device::trim,
      .statistics = device::statistics,
      .peak = device::peak,
  };
  return &table;
}
