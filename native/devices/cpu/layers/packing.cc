#include "devices/cpu/layers/packing.h"

#include <algorithm>
#include <utility>

#include "backend/constant.h"
#include "core/error.h"

namespace dpm::cpu {
namespace {

/// Writes constants as they were loaded, each by way of a memory of its own.
void pack_loaded(const dpm_graph& graph, std::span<const std::int32_t> constants, std::deque<ReadMemory>& memory,
                 const Pack& pack, float* to) {
  std::vector<WeightElements> elements;
  if (memory.size() < constants.size()) memory.resize(constants.size());
  for (std::size_t i = 0; i < constants.size(); ++i) {
    const dpm_constant& weight = graph.constants[constants[i]];
    elements.push_back(WeightElements::plain(weight, ConstantElements(weight, memory[i]).floats()));
  }
  pack(elements, to);
}

bool is_kernel(WeightOrder order) {
  return order == WeightOrder::kPanels || order == WeightOrder::kWinograd || order == WeightOrder::kBf16;
}

}  // namespace

void MovingWeights::pack_from(const float* parameters) const {
  std::vector<WeightElements> elements;
  for (const dpm_constant& constant : constants) {
    const float* place = parameters + constant.parameter.offset;
    elements.push_back(constant.parameter.kind == DPM_PARAMETER_TRANSPOSED ? WeightElements::transposed(constant, place)
                                                                           : WeightElements::plain(constant, place));
  }
  pack(elements, packed->floats());
}

void MovingWeights::repack(const float* parameters, std::uint64_t version) const {
  if (packed->version == version) return;
  pack_from(parameters);
  packed->version = version;
}

bool Packing::move(std::span<const std::int32_t> constants) const {
  const auto moving = std::ranges::count_if(constants, [&](int constant) { return moves(graph_.constants[constant]); });
  if (moving != 0 && moving != std::ssize(constants)) {
    throw Error(ErrorCode::kUnsupported, "a layer has weights that move and others that stay");
  }
  return moving != 0;
}

std::vector<dpm_constant> Packing::places_of(std::span<const std::int32_t> constants) const {
  std::vector<dpm_constant> places;
  for (const std::int32_t constant : constants) places.push_back(graph_.constants[constant]);
  return places;
}

Packed Packing::stage(std::span<const std::int32_t> constants, std::size_t bytes, Pack pack) {
  if (staged_.packed) throw Error(ErrorCode::kUnsupported, "a layer has two kernels that move");
  staged_ = {std::make_shared<PackedBuffer>(stage_), places_of(constants), std::move(pack)};
  stage_bytes_ = std::max(stage_bytes_, bytes);
  return staged_.packed;
}

Packed Packing::get(WeightOrder order, const std::int32_t* constants, std::uint32_t count, std::size_t bytes,
                    Pack pack) {
  read_bytes_ += bytes;
  const std::span<const std::int32_t> all(constants, count);
  const bool moving = move(all);
  if (moving && is_kernel(order)) return stage(all, bytes, std::move(pack));
  // One layer may read weights as one term each, and another one as two.
  auto packed = device_.weights.get({static_cast<std::uint64_t>(order), bytes}, graph_, constants, count, [&] {
    PackedBuffer memory(device_.memory, bytes);
    pack_loaded(graph_, all, reading_, pack, memory.floats());
    return memory;
  });
  if (moving) moving_.push_back({packed, places_of(all), std::move(pack)});
  return packed;
}

Packed Packing::vectors(const std::int32_t* constants, std::uint32_t count) {
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < count; ++i) total += element_count(graph_.constants[constants[i]]);
  return get(WeightOrder::kVectors, constants, count, total * sizeof(float),
             [](std::span<const WeightElements> vectors, float* to) {
               for (const WeightElements& vector : vectors) to = vector.copy_to(to);
             });
}

}  // namespace dpm::cpu
