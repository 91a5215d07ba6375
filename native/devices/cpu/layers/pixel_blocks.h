// Blocks of pixels, the tasks of passes over maps.
#pragma once

#include <algorithm>
#include <cstdint>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// Number of floats of a block, few enough to stay in a core's first cache.
constexpr int kBlockFloats = 16 * 1024;

/// Calls `body(n, pixels)` for blocks of pixels of every sample.
template <typename Body>
void for_pixel_blocks(const RunContext& context, const MapView& map, const Body& body) {
  const int pixels = std::max(1, kBlockFloats / map.channels);
  const int blocks = divide_up(map.pixels(), pixels);
  context.pool.parallel_for(static_cast<std::int64_t>(context.batch) * blocks, [&](std::int64_t task, int /*thread*/) {
    body(static_cast<int>(task / blocks), part_of(map.pixels(), blocks, static_cast<int>(task % blocks)));
  });
}

}  // namespace dpm::cpu
