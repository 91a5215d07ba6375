// Moments of groups, merged from those of their chunks.
#pragma once

#include "cuda/kernels/group_norm_chunks.h"
#include "cuda/kernels/group_norm_tile.h"

namespace dpm::cuda {

__device__ inline float warp_sum(float value) {
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kWholeWarp, value, lanes);
  return value;
}

/// Calls `body(group, numbers, lane)` for every group of a cluster by a warp, with the two numbers of each chunk of the
/// group; `workspace` has them sample by sample.
template <typename T, typename Body>
__device__ void for_groups_of_chunks(const GroupNormArguments<T>& a, const GroupNormChunks& chunks,
                                     const GroupNormCluster& cluster, const float* workspace, const Body& body) {
  constexpr int kLanes = static_cast<int>(kWarp);
  for (int group = static_cast<int>(threadIdx.x) / kLanes; group < cluster.groups;
       group += static_cast<int>(blockDim.x) / kLanes) {
    const std::int64_t row = cluster.sample * a.groups + cluster.first_group + group;
    body(group, workspace + 2 * row * chunks.count, static_cast<int>(threadIdx.x) % kLanes);
  }
}

/// Computes the mean and the inverse deviation of a cluster's groups from those of all chunks; a warp merges a group.
template <typename T>
__device__ void merge_moments(const GroupNormArguments<T>& a, const GroupNormChunks& chunks,
                              const GroupNormCluster& cluster, float* means, float* inverses) {
  constexpr int kLanes = static_cast<int>(kWarp);
  const int of_group = a.channels / a.groups;
  const auto share = [&](int chunk) {
    const int left = a.pixels - chunk * chunks.pixels;
    return static_cast<float>(left < chunks.pixels ? left : chunks.pixels) / static_cast<float>(a.pixels);
  };
  for_groups_of_chunks(a, chunks, cluster, a.workspace, [&](int group, const float* source, int lane) {
    float mean = 0.0F;
    for (int chunk = lane; chunk < chunks.count; chunk += kLanes) mean += share(chunk) * source[2 * chunk];
    mean = warp_sum(mean);
    float variance = 0.0F;
    for (int chunk = lane; chunk < chunks.count; chunk += kLanes) {
      const float difference = source[2 * chunk] - mean;
      const float own = source[2 * chunk + 1] / (static_cast<float>(of_group) * static_cast<float>(a.pixels));
      variance += own + share(chunk) * difference * difference;
    }
    variance = warp_sum(variance);
    if (lane != 0) return;
    means[group] = mean;
    inverses[group] = rsqrtf(variance + a.epsilon);
  });
}

}  // namespace dpm::cuda
