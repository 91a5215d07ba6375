#include "devices/cpu/network.h"

#include <chrono>

#include "backend/bindings.h"
#include "backend/storage_root.h"
#include "core/error.h"
#include "devices/cpu/layers/convolution.h"

namespace dpm::cpu {
namespace {

/// Maximum of weights that every thread can read without waiting for main memory. Larger networks have layers that are
/// long enough to be shared by threads.
constexpr std::uint64_t kMostSharedWeights = std::uint64_t{8} << 20;
constexpr int kManyRows = 4;

bool has_moving_weights(const dpm_graph& graph) {
  return std::any_of(graph.constants, graph.constants + graph.constant_count, moves);
}

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
      bindings(graph.binding_count),
      values(infos_of(graph)),
      times(owner, graph, values, has_moving_weights(graph)),
      weights_move(has_moving_weights(graph)) {
  const std::vector<bool> winograd = choose_winograd(device, graph, winograd_bytes);
  const std::vector<DeferredNorm> none;
  Packing packing(device, graph);
  const LayerFactory plain{device, graph, values, winograd, none, packing};
  std::vector<DeferredNorm> norms = find_deferrable_norms(graph);
  std::erase_if(norms, [&](const DeferredNorm& norm) { return !prefers_bf16(plain, graph.nodes[norm.reader]); });
  for (const DeferredNorm& norm : norms) {
    norm_channels = std::max(norm_channels, graph.values[norm.output].channels);
  }
  const LayerFactory factory{device, graph, values, winograd, norms, packing};
  for (std::uint32_t i = 0; i < graph.node_count; ++i) {
    layers.push_back(make_layer(factory, graph.nodes[i]));
    staged.push_back(packing.take_staged());
  }
  packing.allocate_stage();
  weight_bytes = packing.read_bytes();
  sums_rows = std::any_of(values.begin(), values.end(),
                          [](const ValueInfo& value) { return value.shape.varies == DPM_VARIES_SHARED; });
  moving = packing.take_moving();
}

Executable::Executable(Network& owner, const dpm_plan& plan)
    : network(owner),
      batch(static_cast<int>(plan.batch)),
      offsets(plan.offsets, plan.offsets + owner.values.size()),
      arena(Handle::of(plan.arena).memory.floats()) {
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const dpm_value& shape = owner.values[i].shape;
    if (is_bound(shape) || owner.values[i].root != static_cast<int>(i)) continue;
    const auto pixels = static_cast<std::uint64_t>(shape.height) * static_cast<std::uint64_t>(shape.width);
    elements_ = std::max(elements_, offsets[i] + pixels * static_cast<std::uint64_t>(shape.channels));
  }
  // Values that fusion has left unused have no place in the arena, and could make a part too large.
  const std::uint64_t arena_floats = Handle::of(plan.arena).memory.size() / sizeof(float);
  has_parts_ = elements_ * plan.batch <= arena_floats && owner.weight_bytes <= kMostSharedWeights && !owner.sums_rows &&
               !owner.weights_move;
  std::size_t floats = 0;
  for (const auto& layer : network.layers) {
    floats = std::max(floats, layer->scratch(batch, network.device.pool.threads()));
  }
  const int threads = network.device.pool.threads();
  for (const auto& layer : network.layers) {
    part_scratch_ = std::max(part_scratch_, layer->scratch(divide_up(batch, threads), 1));
  }
  floats = std::max(floats, part_scratch_ * static_cast<std::size_t>(threads));
  scratch = CountedBuffer(network.device.memory, floats * sizeof(float));
  const std::size_t coefficients =
      2 * static_cast<std::size_t>(batch) * static_cast<std::size_t>(network.norm_channels);
  norm_coefficients = CountedBuffer(network.device.memory, coefficients * sizeof(float));
}

RunContext Executable::context(const dpm_bindings& bindings) const {
  return {network.device,
          network.device.pool,
          0,
          static_cast<int>(bindings.batch),
          network.values,
          offsets,
          batch,
          arena,
          bindings,
          scratch.floats(),
          norm_coefficients.floats()};
}

bool Executable::shares_rows(int rows) const {
  const int threads = network.device.pool.threads();
  if (threads == 1 || !has_parts_) return false;
  // Threads would wait for one that has a row more, which costs a good part of the time where each has few rows.
  return rows % threads == 0 || rows >= kManyRows * threads;
}

void Executable::run_rows(const dpm_bindings& bindings, int part, int parts) const {
  const Range rows = part_of(static_cast<int>(bindings.batch), parts, part);
  const RunContext own{network.device,
                       ThreadPool::of_caller(),
                       rows.first,
                       rows.last - rows.first,
                       network.values,
                       offsets,
                       rows.last - rows.first,
                       arena + static_cast<std::uint64_t>(rows.first) * elements_,
                       bindings,
                       scratch.floats() + static_cast<std::size_t>(part) * part_scratch_,
                       norm_coefficients.floats() + std::ptrdiff_t{2} * rows.first * network.norm_channels};
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (network.times.holds(i)) {
      network.times.restore(i, own);
    } else {
      network.layers[i]->run(own);
    }
  }
}

void Executable::run(const dpm_bindings& bindings, double* node_seconds) const {
  require(static_cast<int>(bindings.batch) <= batch, "the batch is larger than the executable's");
  require(bindings.count == network.bindings, "an evaluation binds other tensors than the graph has");
  require(network.parameters != nullptr || !network.weights_move, "weights that move are packed before an evaluation");
  const RunContext whole = context(bindings);
  TimeTable& times = network.times;
  // A profile runs every node, even if its result is known.
  const bool known = times.find(whole) && node_seconds == nullptr;
  const bool rows_alone = known || (times.is_empty() && node_seconds == nullptr);
  if (rows_alone && shares_rows(whole.batch)) {
    const int parts = network.device.pool.threads();
    network.device.pool.parallel_for(
        parts, [&](std::int64_t part, int /*thread*/) { run_rows(bindings, static_cast<int>(part), parts); });
    return;
  }
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (known && times.holds(i)) {
      times.restore(i, whole);
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    if (network.staged[i].packed) network.staged[i].pack_from(network.parameters);
    network.layers[i]->run(whole);
    if (times.holds(i)) times.store(i, whole);
    if (node_seconds == nullptr) continue;
    node_seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  times.finish();
}

}  // namespace dpm::cpu
