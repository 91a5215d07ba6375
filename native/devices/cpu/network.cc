#include "devices/cpu/network.h"

#include <chrono>

#include "backend/bindings.h"
#include "backend/storage_root.h"
#include "core/error.h"
#include "devices/cpu/layers/convolution.h"

namespace dpm::cpu {
namespace {

std::vector<ValueInfo> infos_of(const dpm_graph& graph) {
  std::vector<ValueInfo> infos;
  for (std::uint32_t i = 0; i < graph.value_count; ++i) {
    ValueInfo info;
    info.shape = graph.values[i];
    const StorageRoot root = storage_root(graph, static_cast<int>(i));
    info.root = root.value;
    info.root_offset = root.first_channel;
    info.root_channels = graph.values[info.root].channels;
    infos.push_back(info);
  }
  return infos;
}

}  // namespace

Network::Network(Device& owner, const dpm_graph& graph, std::uint64_t winograd_bytes)
    : device(owner),
      constants(graph),
      bindings(graph.binding_count),
      values(infos_of(graph)),
      times(owner, graph, values) {
  require_rows(graph, "cpu");
  const std::vector<bool> winograd = choose_winograd(device, graph, winograd_bytes);
  const std::vector<DeferredNorm> none;
  const LayerFactory plain{device, graph, values, winograd, none};
  std::vector<DeferredNorm> norms = find_deferrable_norms(graph);
  std::erase_if(norms, [&](const DeferredNorm& norm) { return !prefers_bf16(plain, graph.nodes[norm.reader]); });
  for (const DeferredNorm& norm : norms) {
    norm_channels = std::max(norm_channels, graph.values[norm.output].channels);
  }
  const LayerFactory factory{device, graph, values, winograd, norms};
  for (std::uint32_t i = 0; i < graph.node_count; ++i) layers.push_back(make_layer(factory, graph.nodes[i]));
}

void Network::refresh(std::uint32_t index, const dpm_constant& constant) {
  constants.check(index, constant);
  for (const auto& layer : layers) layer->refresh(static_cast<int>(index), constant);
  times.forget();
}

Executable::Executable(Network& owner, const dpm_plan& plan)
    : network(owner),
      batch(static_cast<int>(plan.batch)),
      offsets(plan.offsets, plan.offsets + owner.values.size()),
      arena(Handle::of(plan.arena).memory.floats()) {
  std::size_t floats = 0;
  for (const auto& layer : network.layers) {
    floats = std::max(floats, layer->scratch(batch, network.device.pool.threads()));
  }
  scratch = CountedBuffer(network.device.memory, floats * sizeof(float));
  const std::size_t coefficients =
      2 * static_cast<std::size_t>(batch) * static_cast<std::size_t>(network.norm_channels);
  norm_coefficients = CountedBuffer(network.device.memory, coefficients * sizeof(float));
}

void Executable::run(const dpm_bindings& bindings, double* node_seconds) const {
  require(static_cast<int>(bindings.batch) <= batch, "the batch is larger than the executable's");
  require(bindings.count == network.bindings, "an evaluation binds other tensors than the graph has");
  const RunContext context{
      network.device,   static_cast<int>(bindings.batch), network.values, offsets, batch, arena, bindings,
      scratch.floats(), norm_coefficients.floats()};
  TimeTable& times = network.times;
  // A profile is to show what everything takes.
  const bool known = times.find(context) && node_seconds == nullptr;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (known && times.holds(i)) {
      times.restore(i, context);
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    network.layers[i]->run(context);
    if (times.holds(i)) times.store(i, context);
    if (node_seconds == nullptr) continue;
    node_seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  times.finish();
}

}  // namespace dpm::cpu
