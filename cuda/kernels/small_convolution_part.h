// What a block of small_convolution.cu has of the convolution, and what its warps share.
#pragma once

#include <cstdint>

#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/small_convolution_plan.h"
#include "cuda/kernels/tensor_core.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda::sliced_convolution {

using small_convolution_plan::kAccess;
using small_convolution_plan::kChunk;
using small_convolution_plan::kMostChunks;

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * static_cast<int>(kWarp);
/// Accesses to a pixel's chunk.
constexpr int kPieces = kChunk / kAccess;

/// A warp has all pixels of its block, 16 of its output channels and a section of the depth: so no weight is read by
/// two warps.
template <int RowTiles, int ColumnPairs, int MapPixels>
struct Tile {
  static constexpr int kRowTiles = RowTiles;
  static constexpr int kRows = 16 * RowTiles;
  static constexpr int kColumns = 16 * ColumnPairs;
  static constexpr int kSections = kWarps / ColumnPairs;
  static constexpr int kMapPixels = MapPixels;
};

/// Eight channels as words.
using Words = FactorWords;

/// Sums of the block's channels on their way to its groups.
struct GroupSums {
  float of_warps[kWarps][kMostChunks * kChunk];
  float totals[kMostChunks * kChunk];
};

template <typename Tile>
struct alignas(16) Bench {
  union {
    /// One chunk after the other, each of all pixels: so neighbouring pixels lie in different banks.
    Words map[Tile::kMapPixels][kPieces];
    /// Of the sections. Rows are longer than they need be, so that a warp's accesses fall into different banks.
    float sums[Tile::kSections][Tile::kRows][Tile::kColumns + 8];
  };
  GroupSums group_sums;
  bool is_last;
};

struct Part {
  int slice;
  unsigned tile;  ///< of the result
  std::int64_t sample;
  int pixel;     ///< its first one of the sample's output
  int column;    ///< its first output channel
  int channel;   ///< its first input channel
  int channels;  ///< input channels
  int top;       ///< the row of x where its map begins, negative in the padding
  int left;

  __device__ Part(const SmallConvolutionShape& shape, const SmallConvolutionPlan& plan)
      : slice(static_cast<int>(blockIdx.x)), tile(blockIdx.z * gridDim.y + blockIdx.y) {
    const auto row_tiles = static_cast<unsigned>(plan.row_tiles);
    sample = blockIdx.z / row_tiles;
    pixel = static_cast<int>(blockIdx.z % row_tiles) * plan.rows;
    column = static_cast<int>(blockIdx.y) * plan.columns;
    channel = slice * plan.slice;
    channels = shape.in_channels - channel < plan.slice ? shape.in_channels - channel : plan.slice;
    top = pixel / shape.out_width * shape.stride - shape.pad_before;
    left = -shape.pad_before;
  }
};

}  // namespace dpm::cuda::sliced_convolution
