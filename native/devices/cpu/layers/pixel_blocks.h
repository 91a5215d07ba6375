// Blocks of pixels, the tasks of passes over maps.
#pragma once

#include <algorithm>
#include <cstdint>

#include "devices/cpu/layers/layer.h"

namespace dpm::cpu {

/// Number of floats of a block, few enough to stay in a core's first cache.
constexpr int kBlockFloats = 16 * 1024;

/// Number of samples for each thread from which a thread takes whole ones: few wait for the last.
constexpr int kSamplesPerThread = 8;

/// Calls `body(n, pixels)` for blocks of pixels of some samples.
template <typename Body>
void for_pixel_blocks(ThreadPool& pool, Range samples, const MapView& map, const Body& body) {
  const int pixels = std::max(1, kBlockFloats / map.channels);
  const int blocks = divide_up(map.pixels(), pixels);
  const std::int64_t tasks = static_cast<std::int64_t>(samples.last - samples.first) * blocks;
  pool.parallel_for(tasks, [&](std::int64_t task, int /*thread*/) {
    body(samples.first + static_cast<int>(task / blocks),
         part_of(map.pixels(), blocks, static_cast<int>(task % blocks)));
  });
}

template <typename Body>
void for_pixel_blocks(const RunContext& context, const MapView& map, const Body& body) {
  for_pixel_blocks(context.pool, {0, context.batch}, map, body);
}

/// Calls `body(pool, samples)` for several passes over the same maps: for each sample on a thread of its own where
/// there are many, so that its map is still in that core's cache in the next pass, otherwise for all on all threads.
template <typename Body>
void for_samples(const RunContext& context, const Body& body) {
  if (context.batch < kSamplesPerThread * context.pool.threads()) {
    body(context.pool, Range{0, context.batch});
    return;
  }
  context.pool.parallel_for(context.batch, [&](std::int64_t n, int /*thread*/) {
    body(ThreadPool::of_caller(), Range{static_cast<int>(n), static_cast<int>(n) + 1});
  });
}

}  // namespace dpm::cpu
