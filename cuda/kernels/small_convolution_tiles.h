// Products of the warps of a block of small_convolution.cu. The depth is steps of 32 channels at one place of the
// kernel, dealt out to the sections. The assignment of channels to rows of a tile's right factor is free, and makes a
// lane's eight channels neighbours in memory.
#pragma once

#include <cstdint>

#include "cuda/kernels/small_convolution_part.h"
#include "cuda/kernels/tensor_core.h"

namespace dpm::cuda::sliced_convolution {

/// The place of a warp in its block.
template <typename Tile>
struct WarpPlace {
  int section = static_cast<int>(threadIdx.x / kWarp) % Tile::kSections;
  int column = static_cast<int>(threadIdx.x / kWarp) / Tile::kSections * 16;
  TileLane lane = tile_lane();
};

/// The chunk and the place of the kernel in a step.
struct Step {
  int chunk;
  int tap;

  __device__ Step(const SmallConvolutionPlan& plan, int index) : chunk(index % plan.chunks), tap(index / plan.chunks) {}
};

/// A warp's weights, a few steps ahead of the products.
template <typename T, typename Tile>
struct Weights {
  /// Number of steps held: all of a 3 x 3 kernel's and two chunks, or as many as registers allow.
  static constexpr int kHeld = Tile::kSections < kWarps ? 4 : 3;
  const T* column[2];  ///< the lane's channels of its output channel in both right tiles; null where there is none
  int in_channels;
  int channels;  ///< channels from the lane's first on
  int count;     ///< number of all sections' steps
  Words held[kHeld][2];

  __device__ Weights(const SmallConvolutionArguments<T>& a, const SmallConvolutionPlan& plan, const Part& part,
                     const WarpPlace<Tile>& place)
      : in_channels(a.shape.in_channels),
        channels(part.channels - place.lane.pair * kAccess),
        count(a.shape.kernel * a.shape.kernel * plan.chunks) {
    DPM_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int out = part.column + place.column + 8 * i + place.lane.group;
      const std::int64_t row = std::int64_t{out} * a.shape.kernel * a.shape.kernel * in_channels;
      column[i] = out < a.shape.out_channels ? a.weight + row + part.channel + place.lane.pair * kAccess : nullptr;
    }
    DPM_UNROLL
    for (int slot = 0; slot < kHeld; ++slot) read(plan, slot, place.section + slot * Tile::kSections);
  }

  __device__ void read(const SmallConvolutionPlan& plan, int slot, int index) {
    const Step step(plan, index);
    const bool exists = index < count && step.chunk * kChunk < channels;
    DPM_UNROLL
    for (int i = 0; i < 2; ++i) {
      held[slot][i] = {};
      if (exists && column[i] != nullptr) {
        held[slot][i] = load_factors(column[i] + step.tap * in_channels + step.chunk * kChunk);
      }
    }
  }
};

/// The sums of a warp's section.
template <typename T, typename Tile>
struct Products {
  TileSums tile[Tile::kRowTiles][2] = {};
  /// Places in the map where the lane's rows begin to read, those of two rows in one word.
  unsigned pixel[Tile::kRowTiles];

  __device__ Products(const SmallConvolutionArguments<T>& a, const SmallConvolutionPlan& plan, const Part& part,
                      const TileLane& lane) {
    const int width = a.shape.out_width;
    const int count = a.shape.out_height * width - part.pixel;
    const int first_row = part.pixel / width;
    const auto begin_of = [&](int row) {
      const int out = part.pixel + (row < count ? row : 0);
      const int begin = ((out / width - first_row) * plan.map_width + out % width) * a.shape.stride;
      return static_cast<unsigned>(begin);
    };
    DPM_UNROLL
    for (int i = 0; i < Tile::kRowTiles; ++i) {
      pixel[i] = begin_of(lane.group + 16 * i) | begin_of(lane.group + 16 * i + 8) << 16;
    }
  }

  __device__ void add_step(const Words (*map)[kPieces], const TileLane& lane, const Words (&weights)[2]) {
    DPM_UNROLL
    for (int row = 0; row < Tile::kRowTiles; ++row) {
      const Words upper = map[pixel[row] & 0xFFFFU][lane.pair];
      const Words lower = map[pixel[row] >> 16][lane.pair];
      DPM_UNROLL
      for (int i = 0; i < 2; ++i) {
        const LeftTile left = left_tile(upper, lower, i);
        DPM_UNROLL
        for (int column = 0; column < 2; ++column) {
          multiply_tile<T>(tile[row][column], left, right_tile(weights[column], i));
        }
      }
    }
  }

  __device__ void add(const SmallConvolutionPlan& plan, int kernel, const Words (*map)[kPieces],
                      const WarpPlace<Tile>& place, Weights<T, Tile>& weights) {
    constexpr int kHeld = Weights<T, Tile>::kHeld;
    for (int first = place.section; first < weights.count; first += kHeld * Tile::kSections) {
      DPM_UNROLL
      for (int slot = 0; slot < kHeld; ++slot) {
        const int index = first + slot * Tile::kSections;
        if (index < weights.count) {
          const Step step(plan, index);
          // The division is simple because the kernel is 1 or 3 wide.
          const int row = kernel == 1 ? 0 : step.tap / 3;
          const int from = step.chunk * plan.map_pixels + row * plan.map_width + step.tap - 3 * row;
          add_step(map + from, place.lane, weights.held[slot]);
          weights.read(plan, slot, index + kHeld * Tile::kSections);
        }
      }
    }
  }

  __device__ void put(Bench<Tile>& bench, const WarpPlace<Tile>& place) const {
    DPM_UNROLL
    for (int i = 0; i < 2 * Tile::kRowTiles; ++i) {
      float* row = bench.sums[place.section][place.lane.group + 8 * i] + place.column + 2 * place.lane.pair;
      DPM_UNROLL
      for (int column = 0; column < 2; ++column) {
        const float* sums = tile[i / 2][column].value + i % 2 * 2;
        store_vector<2>(row + 8 * column, Vector<float, 2>{{sums[0], sums[1]}});
      }
    }
  }
};

}  // namespace dpm::cuda::sliced_convolution
