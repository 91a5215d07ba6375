// The CUDA device's table and its entry point.
#include <cstdio>
#include <memory>
#include <string>

#include "cuda/device/device.h"
#include "cuda/execution/executable.h"
#include "cuda/execution/state.h"
#include "cuda/execution/trajectory.h"
#include "cuda/peak.h"
#include "cuda/runtime/check.h"

namespace dpm::cuda {
namespace {

/// The first architecture whose tensor cores take bfloat16, and the oldest that kernels are compiled for.
constexpr int kOldestMajor = 8;
/// Before the cpu's.
constexpr int kScore = 100;

struct NoSuchCard : Error {
  explicit NoSuchCard(const std::string& message) : Error(ErrorCode::kDevice, message) {}
};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string no_devices(cudaError_t error) {
  (void)cudaGetLastError();
  int driver = 0;
  int runtime = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess &&
      cudaRuntimeGetVersion(&runtime) == cudaSuccess) {
    if (driver == 0) return "there is no NVIDIA driver";
    return "the NVIDIA driver supports CUDA " + version_text(driver) + ", " + version_text(runtime) + " is needed";
  }
  return std::string("there is no card: ") + cudaGetErrorString(error);
}

/// Properties of card `index`. Throws Error(kDevice) saying why it cannot be used.
cudaDeviceProp usable_card(int index) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    if (index > 0) throw NoSuchCard(no_devices(error));
    throw Error(ErrorCode::kDevice, no_devices(error));
  }
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

int probe(std::int32_t index, dpm_message* description, dpm_message* reason) {
  try {
    const cudaDeviceProp card = usable_card(index);
    set_message(description, std::string(card.name) + ", compute capability " + std::to_string(card.major) + "." +
                                 std::to_string(card.minor) + ", " + std::to_string(card.totalGlobalMem >> 20) +
                                 " MiB, " + describe_products());
    return kScore;
  } catch (const NoSuchCard& error) {
    set_message(reason, error.what());
    return -1;
  } catch (...) {
    set_message(reason, current_error().second);
    return 0;
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

dpm_status open(const dpm_open_options* options, dpm_device** device, dpm_message* message) {
  return guarded(message, [&] {
    require(options->struct_size >= sizeof *options, "the options are of an older version");
    DeviceSettings settings = settings_of(*options);
    const cudaDeviceProp card = usable_card(settings.index);
    make_current(settings.index);
    settings.card_memory = card.totalGlobalMem;
    *device = std::make_unique<dpm_device>(settings, card.name).release();
  });
}

void close(dpm_device* device) {
  (void)cudaSetDevice(device->settings.index);
  std::unique_ptr<dpm_device>{device}.reset();
}

int threads(dpm_device* /*device*/) { return 1; }

std::uint32_t arena_element_bytes(dpm_device* device) {
  return static_cast<std::uint32_t>(dtype_size(device->settings.dtype));
}

dpm_status allocate(dpm_device* device, std::uint64_t bytes, dpm_buffer** buffer, dpm_message* message) {
  return on_device(*device, message, [&] {
    auto made = std::make_unique<dpm_buffer>();
    made->memory = device->pool.take(bytes);
    if (made->memory.bytes() < bytes) made->memory = device->allocate(bytes);
    *buffer = made.release();
  });
}

void release(dpm_device* device, dpm_buffer* buffer) {
  if (buffer == nullptr) return;
  device->pool.give(std::move(buffer->memory));
  std::unique_ptr<dpm_buffer>{buffer}.reset();
}

void check_range(const dpm_buffer& buffer, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t size = buffer.memory.bytes();
  require(offset <= size && bytes <= size - offset, "a range leaves its buffer");
}

dpm_status upload(dpm_device* device, dpm_buffer* buffer, std::uint64_t offset, const void* data, std::uint64_t bytes,
                  dpm_message* message) {
  return on_device(*device, message, [&] {
    check_range(*buffer, offset, bytes);
    device->staging.upload(device->stream, buffer->memory.as<unsigned char>() + offset, data, bytes);
  });
}

dpm_status download(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, void* data, std::uint64_t bytes,
                    dpm_message* message) {
  return on_device(*device, message, [&] {
    check_range(*buffer, offset, bytes);
    device->staging.download(device->stream, buffer->memory.as<unsigned char>() + offset, data, bytes);
  });
}

dpm_status download_as_levels(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint8_t* levels,
                              std::uint64_t elements, dpm_message* message) {
  return on_device(*device, message, [&] {
    check_range(*buffer, offset * sizeof(float), elements * sizeof(float));
    download_levels(*device, buffer->memory.as<float>() + offset, levels, elements);
  });
}

int supports_node(dpm_device* device, const dpm_graph* graph, const dpm_node* node) {
  return supports(*device, *graph, *node) ? 1 : 0;
}

dpm_status load(dpm_device* device, const dpm_graph* graph, dpm_network** network, dpm_message* message) {
  return on_device(*device, message, [&] {
    device->free_buried();
    *network = std::make_unique<dpm_network>(*device, *graph).release();
  });
}

void unload(dpm_network* network) { network->device.bury(std::unique_ptr<dpm_network>{network}); }

dpm_status compile(dpm_network* network, const dpm_plan* plan, dpm_executable** executable, dpm_message* message) {
  return on_device(network->device, message, [&] {
    network->device.free_buried();
    auto made = std::make_unique<dpm_executable>(*network, *plan);
    made->prepare(static_cast<int>(plan->batch));
    *executable = made.release();
  });
}

void discard(dpm_executable* executable) {
  executable->network.device.bury(std::unique_ptr<dpm_executable>{executable});
}

dpm_status run(dpm_executable* executable, const dpm_bindings* bindings, double* node_seconds, dpm_message* message) {
  return on_device(executable->network.device, message, [&] { executable->run(*bindings, node_seconds); });
}

dpm_status gather_rows(dpm_device* device, const dpm_gather* request, dpm_message* message) {
  return on_device(*device, message, [&] { gather(*device, *request); });
}

dpm_status update_state(dpm_device* device, const dpm_update* request, dpm_message* message) {
  return on_device(*device, message, [&] { update(*device, *request); });
}

dpm_status reduce_state(dpm_device* device, const dpm_reduce* request, dpm_message* message) {
  return on_device(*device, message, [&] { reduce(*device, *request); });
}

dpm_status begin(dpm_executable* executable, const dpm_trajectory* request, dpm_message* message) {
  return on_device(executable->network.device, message, [&] {
    if (!executable->trajectory) executable->trajectory = std::make_unique<Trajectory>(*executable);
    executable->trajectory->begin(*request);
  });
}

dpm_status advance(dpm_executable* executable, std::uint32_t steps, dpm_message* message) {
  return on_device(executable->network.device, message, [&] {
    require(executable->trajectory != nullptr, "no trajectory has been begun");
    executable->trajectory->advance(steps);
  });
}

void memory(dpm_device* device, dpm_memory* result) { *result = {0, device->memory.used(), device->memory.peak()}; }

dpm_status peak(dpm_device* device, double* gflops, double* gigabytes, dpm_message* message) {
  return on_device(*device, message, [&] {
    *gflops = float_gigaflops(*device);
    *gigabytes = copy_gigabytes(*device);
  });
}

}  // namespace
}  // namespace dpm::cuda

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() {
  namespace device = dpm::cuda;
  static const dpm_backend table = {
      DPM_BACKEND_ABI,
      sizeof(dpm_backend),
      "cuda",
      0,
      device::probe,
      device::open,
      device::close,
      device::threads,
      device::arena_element_bytes,
      device::allocate,
      device::release,
      device::upload,
      device::download,
      device::download_as_levels,
      device::supports_node,
      device::load,
      device::unload,
      device::compile,
      device::discard,
      device::run,
      device::gather_rows,
      device::update_state,
      device::reduce_state,
      device::begin,
      device::advance,
      device::memory,
      device::peak,
  };
  return &table;
}
