// A block's part of the convolution in small_convolution.cu, and the shared memory of its warps.
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
/// Number of accesses to a pixel's chunk.
constexpr int kPieces = kChunk / kAccess;

/// A tile: a warp has all pixels of its block, 16 of its output channels and a section of the depth, so that no weight
/// is read by two warps.
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
    /// The map, one chunk after the other with all pixels each, so that neighbouring pixels are in different banks.
    Words map[Tile::kMapPixels][kPieces];
    /// Sums of the sections. Rows are longer than necessary, so that a warp's accesses fall into different banks.
    float sums[Tile::kSections][Tile::kRows][Tile::kColumns + 8];
  };
  GroupSums group_sums;
  bool is_last;
};

struct Part {
  int slice;
  unsigned tile;  ///< tile of the result
  std::int64_t sample;
  int pixel;     ///< first pixel of the sample's output in the block
  int column;    ///< first output channel
  int channel;   ///< first input channel
  int channels;  ///< number of input channels
  int top;       ///< row of x where its map begins, negative in the padding
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
