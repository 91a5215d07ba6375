// How group norm's blocks divide a sample. A block has a cluster of neighbouring groups, wide enough that the piece of
// a pixel that it reads is worth an access; its threads are rows of columns, a column being a vector of channels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace dpm::cuda {

/// Follows from the shape of one sample, never from the batch, so that the order of sums does too.
struct GroupNormLayout {
  int channels_of_group;
  int groups;        ///< of a cluster; the last one may have fewer
  int clusters;      ///< of a sample
  int columns;       ///< of a cluster
  int threads;       ///< whole warps
  int rows;          ///< pixels that the block takes at once
  bool whole_group;  ///< a vector never spans two groups
};

/// Groups of one 16-bit channel in a piece of 128 bytes.
constexpr int kMaxClusterGroups = 64;

/// For vectors of `width` channels of `bytes` each, pieces of at least `piece_bytes` (at most 128) and blocks of at
/// most `threads` threads that have all of `pixels`. `threads` is 0 in the result where vectors of this width cannot be
/// used.
inline GroupNormLayout group_norm_layout(int pixels, int channels, int groups, int width, int bytes, int piece_bytes,
                                         int threads) {
  constexpr int kLanes = 32;
  GroupNormLayout layout{};
  if (channels % width != 0) return layout;
  const int of_group = channels / groups;
  // Fewer groups would end within a vector.
  const int unit = width / std::gcd(of_group, width);
  const int units = (piece_bytes - 1) / (unit * of_group * bytes) + 1;
  layout.channels_of_group = of_group;
  layout.groups = std::min(groups, unit * units);
  layout.clusters = (groups - 1) / layout.groups + 1;
  layout.columns = layout.groups * of_group / width;
  layout.whole_group = unit == 1;
  // A thread a column at least, for sums a thread a channel where vectors span groups.
  const int least = layout.whole_group ? layout.columns : layout.columns * width;
  if (least > threads) return layout;
  const int wanted = pixels > threads / layout.columns ? threads : std::max(least, layout.columns * pixels);
  layout.threads = (wanted + kLanes - 1) / kLanes * kLanes;
  layout.rows = layout.threads / layout.columns;
  return layout;
}

/// Whether a block can hold its cluster in `vectors` of each thread.
inline bool group_norm_fits(const GroupNormLayout& layout, int pixels, int vectors) {
  return layout.threads > 0 && (pixels - 1) / layout.rows < vectors;
}

}  // namespace dpm::cuda
