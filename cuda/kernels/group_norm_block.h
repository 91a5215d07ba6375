// The common part of kernels that hold a cluster of groups in one block's registers: the block, and the moments of the
// held elements. It makes the norm and its derivative normalise a map alike.
#pragma once

#include "cuda/kernels/group_norm_tile.h"

namespace dpm::cuda {

struct GroupNormBlock {
  static constexpr int kThreads = 512;
  /// Bytes of a pixel that a block reads in one go.
  static constexpr int kPieceBytes = 32;
  /// Vectors of a thread, for small and larger maps.
  static constexpr int kFew = 4;
  static constexpr int kMany = 12;
  /// Returns the least number of blocks per multiprocessor.
  static constexpr int least_blocks(int vectors) { return vectors == kFew ? 2 : 1; }

  template <typename T, int N>
  static GroupNormLayout layout(int pixels, int channels, int groups) {
    return group_norm_layout(pixels, channels, groups, N, sizeof(T), kPieceBytes, kThreads);
  }
};

/// Computes means of the thread's channels, not including the added numbers; `share` is one over the elements of a
/// group. The arrays are those of group_sums; `sums` receives those of the squared differences from the means.
template <typename T, int N, int K>
__device__ Floats<N> block_moments(const GroupNormLayout& layout, const GroupNormCluster& cluster,
                                   const GroupNormHeld<T, N, K>& held, const Floats<N>& added, float share,
                                   float* partial, float* folded, float* sums) {
  Floats<N> mean = held.sum();
  DPM_UNROLL
  for (int i = 0; i < N; ++i) mean.value[i] += static_cast<float>(held.count) * added.value[i];
  group_sums(layout, cluster.groups, mean, partial, folded, sums);
  for_vector_groups<N>(layout, cluster.column,
                       [&](int i, int group) { mean.value[i] = sums[group] * share - added.value[i]; });
  group_sums(layout, cluster.groups, held.sum_of_squares(mean), partial, folded, sums);
  return mean;
}

}  // namespace dpm::cuda
