// The division of a sample by group norm's blocks. A block has a cluster of neighbouring groups, wide enough that its
// piece of a pixel is worth an access; its threads are rows of columns, a column being a vector of channels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace dpm::cuda {

/// A layout depends on the shape of one sample, never on the batch, so that the order of sums does too.
struct GroupNormLayout {
  int channels_of_group;
  int groups;        ///< groups of a cluster; the last one may have fewer
  int clusters;      ///< clusters of a sample
  int columns;       ///< columns of a cluster
  int threads;       ///< threads in whole warps
  int rows;          ///< pixels that the block takes at once
  bool whole_group;  ///< tells whether no vector spans two groups
};

/// Maximum of groups in a cluster: groups of one 16-bit channel in a piece of 128 bytes.
constexpr int kMaxClusterGroups = 64;

/// Makes the layout for vectors of `width` channels of `bytes` each, pieces of at least `piece_bytes` (at most 128) and
/// blocks of at most `threads` threads that have all of `pixels`. The result's `threads` is 0 where vectors of this
/// width cannot be used.
inline GroupNormLayout group_norm_layout(int pixels, int channels, int groups, int width, int bytes, int piece_bytes,
                                         int threads) {
  constexpr int kLanes = 32;
  GroupNormLayout layout{};
  if (channels % width != 0) return layout;
  const int of_group = channels / groups;
  // A cluster of fewer groups would end within a vector.
  const int unit = width / std::gcd(of_group, width);
  const int units = (piece_bytes - 1) / (unit * of_group * bytes) + 1;
  layout.channels_of_group = of_group;
  layout.groups = std::min(groups, unit * units);
  layout.clusters = (groups - 1) / layout.groups + 1;
  layout.columns = layout.groups * of_group / width;
  layout.whole_group = unit == 1;
  // The block has at least one thread per column, or one per channel for sums where vectors span groups.
  const int least = layout.whole_group ? layout.columns : layout.columns * width;
  if (least > threads) return layout;
  const int wanted = pixels > threads / layout.columns ? threads : std::max(least, layout.columns * pixels);
  layout.threads = (wanted + kLanes - 1) / kLanes * kLanes;
  layout.rows = layout.threads / layout.columns;
  return layout;
}

/// Returns whether a block can hold its cluster in `vectors` of each thread.
inline bool group_norm_fits(const GroupNormLayout& layout, int pixels, int vectors) {
  return layout.threads > 0 && (pixels - 1) / layout.rows < vectors;
}

}  // namespace dpm::cuda
