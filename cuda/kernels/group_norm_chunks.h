// Group norm of maps that are too large for one block per cluster of groups: statistics of chunks of pixels, then the
// result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/kernels/group_norm.h"
#include "cuda/kernels/group_norm_layout.h"

namespace dpm::cuda {

/// The chunks of a sample; the last one may have fewer pixels.
struct GroupNormChunks {
  int count;
  int pixels;

  static constexpr int kThreads = 256;

  explicit GroupNormChunks(int pixels_of_sample) {
    // Maximum of chunks, because every block of the second kernel merges all of them.
    constexpr int kMost = 64;
    constexpr int kLeastPixels = 128;
    const int wanted = std::min(kMost, (pixels_of_sample - 1) / kLeastPixels + 1);
    pixels = (pixels_of_sample - 1) / wanted + 1;
    count = (pixels_of_sample - 1) / pixels + 1;
  }

  /// Returns the layout of blocks that have a chunk of a cluster, in vectors of N channels.
  template <typename T, int N>
  static GroupNormLayout layout(int pixels_of_sample, int channels, int groups) {
    constexpr int kPieceBytes = 128;
    return group_norm_layout(pixels_of_sample, channels, groups, N, sizeof(T), kPieceBytes, kThreads);
  }
};

/// Launches the first of the two kernels of group_norm_by_chunks, where there is a layout.
template <int N, typename T>
void group_norm_chunk_moments(const GroupNormArguments<T>& arguments, cudaStream_t stream);

/// Computes group_norm in two kernels with vectors of N channels; returns false where they cannot be used. The
/// workspace receives the mean of every chunk of every group and the sum of squared differences from it.
template <int N, typename T>
bool group_norm_by_chunks(const GroupNormArguments<T>& arguments, cudaStream_t stream);

/// Computes group_norm for groups with more channels than a block has threads: one block per group reads it three
/// times.
template <typename T>
void group_norm_of_wide_groups(const GroupNormArguments<T>& arguments, cudaStream_t stream);

}  // namespace dpm::cuda
