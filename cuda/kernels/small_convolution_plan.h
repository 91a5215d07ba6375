// The division of a convolution by the blocks of small_convolution.cu.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "cuda/kernels/small_convolution.h"

namespace dpm::cuda {

/// A plan depends on the shape of one sample, never on the batch.
struct SmallConvolutionPlan {
  int rows;          ///< output pixels of a block, of one sample
  int columns;       ///< output channels of a block
  int chunks;        ///< chunks of 32 input channels that a block has room for: 1, 2 or 4
  int slice;         ///< input channels of a block, whole groups; the last slice may have fewer
  int slices;        ///< slices of the input channels
  int row_tiles;     ///< tiles of a sample's output pixels
  int column_tiles;  ///< tiles of the output channels
  int map_width;     ///< pixels of a row that a block's pixels read, padding included
  int map_pixels;    ///< pixels of all those rows

  /// Number of blocks of a sample.
  [[nodiscard]] int blocks() const { return slices * row_tiles * column_tiles; }
};

namespace small_convolution_plan {

constexpr int kChunk = 32;
/// Input channels of one access.
constexpr int kAccess = 8;
constexpr int kMostChunks = 4;

struct TileSize {
  int rows;
  int columns;
  int map_pixels;  ///< chunks of pixels that its shared memory has room for
};
constexpr TileSize kTiles[] = {{16, 16, 384}, {32, 16, 384}, {64, 32, 640}};

/// Number of multiprocessors of an H100.
constexpr int kMultiprocessors = 132;

inline int quotient_above(int dividend, int divisor) { return (dividend - 1) / divisor + 1; }

/// Returns the unit of a slice's channels.
inline int slice_unit(const SmallConvolutionShape& shape) {
  return shape.groups == 0 ? kAccess : std::lcm(shape.in_channels / shape.groups, kAccess);
}

inline SmallConvolutionPlan plan_for(const SmallConvolutionShape& shape, const TileSize& tile, int chunks) {
  const int pixels = shape.out_height * shape.out_width;
  const int unit = slice_unit(shape);
  SmallConvolutionPlan plan{};
  plan.rows = tile.rows;
  plan.columns = tile.columns;
  plan.chunks = chunks;
  plan.slice = std::min(shape.in_channels, chunks * kChunk / unit * unit);
  plan.slices = plan.slice == 0 ? 0 : quotient_above(shape.in_channels, plan.slice);
  plan.row_tiles = quotient_above(pixels, tile.rows);
  plan.column_tiles = quotient_above(shape.out_channels, tile.columns);
  // A tile that does not begin at the beginning of a row touches one row more.
  const int touched = tile.rows % shape.out_width == 0 ? tile.rows / shape.out_width
                                                       : quotient_above(tile.rows - 1, shape.out_width) + 1;
  const int map_rows = (std::min(touched, shape.out_height) - 1) * shape.stride + shape.kernel;
  plan.map_width = (shape.out_width - 1) * shape.stride + shape.kernel;
  plan.map_pixels = map_rows * plan.map_width;
  return plan;
}

inline bool fits(const SmallConvolutionPlan& plan, const TileSize& tile) {
  return plan.slice > 0 && plan.map_pixels * plan.chunks <= tile.map_pixels;
}

/// Estimates the cycles of a multiprocessor at full speed, to compare plans; it is no prediction of the time.
inline std::int64_t cost(const SmallConvolutionShape& shape, const SmallConvolutionPlan& plan) {
  const std::int64_t taps = std::int64_t{shape.kernel} * shape.kernel;
  const std::int64_t channels = std::int64_t{plan.chunks} * kChunk;
  // A number's SiLU takes two special functions, of which 16 are computed per cycle.
  const std::int64_t norm = plan.map_pixels * channels / 8;
  const std::int64_t statistics = std::int64_t{shape.in_height} * shape.in_width * channels / 32;
  const std::int64_t weights = plan.columns * taps * channels * 2 / 64;
  const std::int64_t products = std::int64_t{plan.rows / 16} * (plan.columns / 8) * (channels / 16) * taps * 2;
  const std::int64_t sum = plan.slices == 1 ? 0 : std::int64_t{plan.slices} * plan.rows * plan.columns * 4 / 64;
  const std::int64_t block = products + std::max(weights, shape.groups == 0 ? norm / 4 : norm + statistics);
  return block * quotient_above(plan.blocks(), kMultiprocessors) + sum;
}

}  // namespace small_convolution_plan

/// Returns the cheapest plan; it has no slices where none fits.
inline SmallConvolutionPlan plan_small_convolution(const SmallConvolutionShape& shape) {
  using namespace small_convolution_plan;
  SmallConvolutionPlan best{};
  std::int64_t least = 0;
  for (const TileSize& tile : kTiles) {
    for (int chunks = 1; chunks <= kMostChunks; chunks *= 2) {
      const SmallConvolutionPlan plan = plan_for(shape, tile, chunks);
      if (!fits(plan, tile)) continue;
      const std::int64_t plan_cost = cost(shape, plan);
      if (best.slices > 0 && plan_cost >= least) continue;
      best = plan;
      least = plan_cost;
    }
  }
  return best;
}

}  // namespace dpm::cuda
