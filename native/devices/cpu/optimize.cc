#include "devices/cpu/optimize.h"

#include <algorithm>

#include "devices/cpu/network.h"

namespace dpm::cpu {
namespace {

constexpr std::uint64_t kChunk = 16384;

float* elements_of(const dpm_view& view) { return Handle::of(view.buffer).memory.floats() + view.offset; }

}  // namespace

void optimize(Device& device, const dpm_optimize& request) {
  const auto chunks = static_cast<std::int64_t>((request.elements + kChunk - 1) / kChunk);
  device.pool.parallel_for(chunks, [&](std::int64_t chunk, int /*thread*/) {
    const std::uint64_t first = static_cast<std::uint64_t>(chunk) * kChunk;
    device.isa.optimize({&request, elements_of(request.parameters) + first, elements_of(request.gradients) + first,
                         elements_of(request.first_moments) + first, elements_of(request.second_moments) + first,
                         elements_of(request.average) + first,
                         static_cast<int>(std::min(kChunk, request.elements - first))});
  });
}

void repack(Network& network, const dpm_repack& request) {
  network.parameters = elements_of(request.parameters);
  for (const MovingWeights& weights : network.moving) weights.repack(network.parameters, request.version);
}

}  // namespace dpm::cpu
