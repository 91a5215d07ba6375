#include "devices/cpu/backend.h"

#include <memory>
#include <string>

#include "backend/table.h"
#include "core/dtype.h"
#include "core/flush_denormals.h"
#include "devices/cpu/bf16/kernels.h"
#include "devices/cpu/isa_select.h"
#include "devices/cpu/network.h"
#include "devices/cpu/optimize.h"
#include "devices/cpu/peak.h"
#include "devices/cpu/state.h"
#include "platform/threads.h"

namespace dpm::cpu {
namespace {

/// Returns dpm_device::bf16_terms for these options. Throws Error(kUnsupported).
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

/// The CPU device's functions behind the entries of its table.
struct Own : HostDevice {
  using Handle = cpu::Handle;
  static constexpr const char* kName = "cpu";

  static int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
    if (index != 0) {
      set_message(reason, "there is one cpu device");
      return 0;
    }
    try {
      set_message(description, std::string(select_isa().name) + ", " +
                                   std::to_string(platform::available_processors()) +
                                   " threads (built in and usable: " + available_isas() + ")");
      return 10;
    } catch (...) {
      set_message(reason, current_error().second);
      return 0;
    }
  }

  static std::unique_ptr<Device> open(const dpm_open_options& options) {
    require(options.threads >= 0 && options.threads <= 1024, "threads must be between 0 and 1024");
    const IsaKernels& isa = select_isa();
    refuse_card_options(options);
    const bool exact = options.exact != 0;
    const int terms = bf16_terms(isa, static_cast<DType>(options.dtype), exact);
    return std::make_unique<Device>(options.threads, isa, exact, terms);
  }
  static int threads(const Device& device) { return device.pool.threads(); }
  static std::size_t arena_element_bytes(const Device& /*device*/) { return sizeof(float); }
  /// A CPU's memory is the host's.
  static dpm_memory memory(const Device& device) { return {device.memory.used(), 0, device.memory.peak()}; }
  static void peak(Device& device, double& gflops, double& copy_gigabytes) {
    const FlushDenormals flush;
    gflops = measure_gflops(device);
    copy_gigabytes = measure_copy_gigabytes(device);
  }

  static bool supports(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
    return cpu::supports(graph, node);
  }
  static std::unique_ptr<Network> load(Device& device, const dpm_graph& graph) {
    const FlushDenormals flush;
    return std::make_unique<Network>(device, graph, Network::winograd_bytes_of(device));
  }
  static std::unique_ptr<Executable> compile(Network& network, const dpm_plan& plan) {
    return std::make_unique<Executable>(network, plan);
  }
  static void run(const Executable& executable, const dpm_bindings& bindings, double* node_seconds) {
    const FlushDenormals flush;
    executable.run(bindings, node_seconds);
  }

  static std::unique_ptr<Buffer> allocate(Device& device, std::uint64_t bytes) {
    auto made = std::make_unique<Buffer>();
    made->memory = CountedBuffer(device.memory, bytes);
    return made;
  }
  static void release(const Device& /*device*/, std::unique_ptr<Buffer> /*buffer*/) noexcept {}
  static std::uint64_t size(const Buffer& buffer) { return buffer.memory.size(); }
  static unsigned char* data(const Buffer& buffer) { return static_cast<unsigned char*>(buffer.memory.data()); }
  static void download_levels(Device& device, const float* values, std::uint8_t* levels, std::uint64_t elements) {
    constexpr std::uint64_t kChunk = 16384;
    const auto chunks = static_cast<std::int64_t>((elements + kChunk - 1) / kChunk);
    device.pool.parallel_for(chunks, [&](std::int64_t chunk, int) {
      const std::uint64_t first = static_cast<std::uint64_t>(chunk) * kChunk;
      const std::uint64_t last = std::min(elements, first + kChunk);
      for (std::uint64_t i = first; i < last; ++i) levels[i] = dpm::update::level(values[i]);
    });
  }
  static void gather(Device& device, const dpm_gather& request) {
    const FlushDenormals flush;
    cpu::gather(device, request);
  }
  static void update(Device& device, const dpm_update& request) {
    const FlushDenormals flush;
    cpu::update(device, request);
  }
  static void reduce(Device& device, const dpm_reduce& request) {
    const FlushDenormals flush;
    cpu::reduce(device, request);
  }
  static void optimize(Device& device, const dpm_optimize& request) {
    const FlushDenormals flush;
    cpu::optimize(device, request);
  }
  static void repack(Network& network, const dpm_repack& request) {
    const FlushDenormals flush;
    cpu::repack(network, request);
  }
};

}  // namespace

const dpm_backend& backend() {
  static constexpr dpm_backend kTable = Entries<Own>::training_table();
  return kTable;
}

}  // namespace dpm::cpu
