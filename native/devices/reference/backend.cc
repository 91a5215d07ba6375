// The table of the reference device and its entry point: a plug-in like any other.
#include <algorithm>
#include <memory>

#include "backend/table.h"
#include "core/dtype.h"
#include "devices/reference/network.h"

namespace dpm::reference {
namespace {

/// The reference device's functions behind the entries of its table.
struct Own : HostDevice {
  using Handle = reference::Handle;
  static constexpr const char* kName = "reference";

  static int probe(std::int32_t index, dpm_message* description, dpm_message* reason) noexcept {
    if (index != 0) {
      set_message(reason, "there is one reference device");
      return 0;
    }
    set_message(description, "double-precision loops, for checking other devices");
    return 1;
  }

  static std::unique_ptr<Device> open(const dpm_open_options& options) {
    if (static_cast<DType>(options.dtype) != DType::kFloat32) {
      throw Error(ErrorCode::kUnsupported, "the reference device computes in double precision, dtype has to be f32");
    }
    refuse_card_options(options);
    return std::make_unique<Device>();
  }
  static int threads(const Device& /*device*/) { return 1; }
  static std::size_t arena_element_bytes(const Device& /*device*/) { return sizeof(double); }
  static dpm_memory memory(const Device& device) { return {device.used.load(), 0, device.peak.load()}; }
  static void peak(const Device& /*device*/, double& gflops, double& copy_gigabytes) {
    gflops = copy_gigabytes = 0;
    throw Error(ErrorCode::kUnsupported, "the reference device is not made for speed");
  }

  static bool supports(const Device& /*device*/, const dpm_graph& graph, const dpm_node& node) {
    return reference::supports(graph, node);
  }
  static std::unique_ptr<Network> load(Device& device, const dpm_graph& graph) {
    return std::make_unique<Network>(device, graph);
  }
  static std::unique_ptr<Executable> compile(Network& network, const dpm_plan& plan) {
    return std::make_unique<Executable>(network, plan);
  }
  static void run(const Executable& executable, const dpm_bindings& bindings, double* node_seconds) {
    executable.run(bindings, node_seconds);
  }

  static std::unique_ptr<Buffer> allocate(Device& device, std::uint64_t bytes) {
    auto made = std::make_unique<Buffer>();
    made->bytes.resize(bytes);
    device.used += bytes;
    device.peak = std::max(device.peak.load(), device.used.load());
    return made;
  }
  static void release(Device& device, std::unique_ptr<Buffer> buffer) noexcept { device.used -= buffer->bytes.size(); }
  static std::uint64_t size(const Buffer& buffer) { return buffer.bytes.size(); }
  static unsigned char* data(Buffer& buffer) { return buffer.bytes.data(); }
  static const unsigned char* data(const Buffer& buffer) { return buffer.bytes.data(); }
  static void download_levels(const Device& /*device*/, const float* values, std::uint8_t* levels,
                              std::uint64_t elements) {
    std::transform(values, values + elements, levels, [](float value) { return dpm::update::level(value); });
  }
  static void gather(const Device& /*device*/, const dpm_gather& request) { reference::gather(request); }
  static void update(const Device& /*device*/, const dpm_update& request) { reference::update(request); }
  static void reduce(const Device& /*device*/, const dpm_reduce& request) { reference::reduce(request); }
  static void optimize(const Device& /*device*/, const dpm_optimize& request) { reference::optimize(request); }
  static void repack(Network& network, const dpm_repack& request) { reference::repack(network, request); }
};

}  // namespace
}  // namespace dpm::reference

extern "C" __attribute__((visibility("default"))) const dpm_backend* dpm_backend_entry() noexcept {
  static constexpr dpm_backend kTable = dpm::Entries<dpm::reference::Own>::training_table();
  return &kTable;
}
