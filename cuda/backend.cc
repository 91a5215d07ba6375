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

/// Oldest architecture that kernels are compiled for: the first whose tensor cores multiply bfloat16 numbers.
constexpr int kOldestMajor = 8;
/// Score above the CPU's, so that `auto` prefers a GPU.
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

/// Returns the major version of the CUDA that this plug-in was built with.
int own_major() {
  int runtime = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  return runtime / 1000;
}

/// Returns NVIDIA's first driver for a CUDA version; any later driver also supports it.
std::string oldest_driver(int major) { return major >= 13 ? "R580" : "R525"; }

/// Throws the reason why there is no GPU `index`.
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

/// Returns the properties of GPU `index`. Throws Error(kDevice) with the reason why it cannot be used.
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

/// The CUDA device's functions behind the entries of its table.
struct Own {
  using Handle = cuda::Handle;
  static constexpr const char* kName = "cuda";
  static constexpr std::uint32_t kResidualInPlace = 0;
  static constexpr std::uint32_t kNormsAreJoined = 1;
  static constexpr std::uint32_t kNormsCompleteSums = 1;

  template <typename Body>
  static dpm_status guarded(Device& device, dpm_message* message, const Body& body) noexcept {
    return on_device(device, message, body);
  }

  static int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
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

  static std::unique_ptr<Device> open(const dpm_open_options& options) {
    DeviceSettings settings = settings_of(options);
    const cudaDeviceProp card = usable_card(settings.index);
    make_current(settings.index);
    settings.card_memory = card.totalGlobalMem;
    settings.capability = 10 * card.major + card.minor;
    settings.switches = read_switches();
    return std::make_unique<Device>(settings, card.name);
  }
  static void close(std::unique_ptr<Device> device) noexcept { (void)cudaSetDevice(device->settings.index); }
  static int threads(const Device& /*device*/) { return 1; }
  static std::size_t arena_element_bytes(const Device& device) { return dtype_size(device.settings.dtype); }
  static dpm_memory memory(const Device& device) { return {0, device.memory.used(), device.memory.peak()}; }
  static void peak(Device& device, double& gflops, double& gigabytes) {
    gflops = float_gigaflops(device);
    gigabytes = copy_gigabytes(device);
  }

  static bool supports(const Device& device, const dpm_graph& graph, const dpm_node& node) {
    return cuda::supports(device, graph, node);
  }
  static std::unique_ptr<Network> load(Device& device, const dpm_graph& graph) {
    device.free_buried();
    return std::make_unique<Network>(device, graph);
  }
  static void unload(std::unique_ptr<Network> network) noexcept {
    Device& device = network->device;
    device.bury(std::move(network));
  }
  static std::unique_ptr<Executable> compile(Network& network, const dpm_plan& plan) {
    network.device.free_buried();
    auto made = std::make_unique<Executable>(network, plan);
    made->prepare(static_cast<int>(plan.batch));
    return made;
  }
  static void discard(std::unique_ptr<Executable> executable) noexcept {
    Device& device = executable->network.device;
    device.bury(std::move(executable));
  }
  static void run(Executable& executable, const dpm_bindings& bindings, double* node_seconds) {
    executable.run(bindings, node_seconds);
  }

  static std::unique_ptr<Buffer> allocate(Device& device, std::uint64_t bytes) {
    auto made = std::make_unique<Buffer>();
    made->memory = device.pool.take(bytes);
    if (made->memory.bytes() < bytes) made->memory = device.allocate(bytes);
    return made;
  }
  static void release(Device& device, std::unique_ptr<Buffer> buffer) noexcept {
    device.pool.give(std::move(buffer->memory));
  }
  static std::uint64_t size(const Buffer& buffer) { return buffer.memory.bytes(); }
  static unsigned char* data(const Buffer& buffer) { return buffer.memory.as<unsigned char>(); }
  static void upload(Device& device, unsigned char* place, const void* data, std::uint64_t bytes) {
    device.staging.upload(device.stream, place, data, bytes);
  }
  static void clear(const Device& device, unsigned char* place, std::uint64_t bytes) {
    check_cuda(cudaMemsetAsync(place, 0, bytes, device.stream.get()), "clearing a buffer");
  }
  static void download(Device& device, const unsigned char* place, void* data, std::uint64_t bytes) {
    device.staging.download(device.stream, place, data, bytes);
  }
  static void download_levels(Device& device, const float* values, std::uint8_t* levels, std::uint64_t elements) {
    cuda::download_levels(device, values, levels, elements);
  }
  static void gather(Device& device, const dpm_gather& request) { cuda::gather(device, request); }
  static void update(Device& device, const dpm_update& request) { cuda::update(device, request); }
  static void reduce(Device& device, const dpm_reduce& request) { cuda::reduce(device, request); }
  static void repack(Network& network, const dpm_repack& request) { network.repack(request); }
  static void optimize(Device& device, const dpm_optimize& request) { cuda::optimize(device, request); }
};

dpm_status start_transfer(dpm_device* device, const dpm_buffer* buffer, std::uint64_t offset, std::uint64_t elements,
                          std::uint32_t as_levels, dpm_transfer** transfer, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] {
    check_range(Handle::of(buffer).memory.bytes(), offset * sizeof(float), elements * sizeof(float));
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

std::uint32_t padded(dpm_executable* executable, std::uint32_t rows) noexcept {
  return static_cast<std::uint32_t>(Handle::of(executable).computed(static_cast<int>(rows)));
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

dpm_status trim(dpm_device* device, dpm_message* message) noexcept {
  return on_device(Handle::of(device), message, [&] { Handle::of(device).trim(); });
}

void statistics(dpm_device* device, dpm_statistics* result) noexcept { *result = Handle::of(device).statistics.read(); }

dpm_backend make_table() {
  dpm_backend table = Entries<Own>::training_table();
  table.device.trim = trim;
  table.device.statistics = statistics;
  table.network.padded = padded;
  table.network.begin = begin;
  table.network.advance = advance;
  table.network.step = step;
  table.network.settle = settle;
  table.transfers = {start_transfer, finish_transfer, end_transfer};
  return table;
}

}  // namespace
}  // namespace dpm::cuda

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() noexcept {
  static const dpm_backend table = dpm::cuda::make_table();
  return &table;
}
