// Tiles of attention_wide.cu in the registers of a block's warps: queries, keys, values and results.
//
// A block has 16 queries of one head, each of its warps 64 channels of them. The warps multiply their channels of
// queries and keys; each of them turns two queries' scores into weights; all of them multiply these by their channels
// of the values. No operand is read by two warps, so all operands go straight into registers, 16 bytes at a time. The
// assignment of channels to a tile's columns is therefore free, and makes a lane's columns neighbours in memory.
#pragma once

#include <cstdint>

#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/tensor_core.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda::wide_attention {

constexpr int kWarps = 8;
/// Queries of a block.
constexpr int kQueries = 16;
/// Keys that a block takes at once.
constexpr int kKeys = 32;
/// Channels of one access.
constexpr int kAccess = 8;
/// Channels of a warp.
constexpr int kChannels = 64;

/// Shared memory for the warps' exchange. Rows are longer than necessary, so that a warp's accesses fall into different
/// banks.
struct alignas(16) Exchange {
  float scores[kWarps][kQueries][kKeys + 8];  ///< share of each warp's channels in the scores
  std::uint32_t weights[kQueries][kKeys / 2 + 4];
  float factors[kQueries];  ///< factors for earlier sums after a change of the largest score
  float inverses[kQueries];
};

/// The place of a lane in its block.
struct Place {
  int warp = static_cast<int>(threadIdx.x / kWarp);
  TileLane lane = tile_lane();
  int channel = warp * kChannels;  ///< first channel of the warp
};

/// Eight channels as words.
using Words = FactorWords;

/// Rows of eight neighbouring channels of a head's tokens, as a lane reads them.
template <typename T>
struct Rows {
  const T* next;
  std::int64_t stride;
  int left;  ///< number of rows left; none where the head has no such channels

  __device__ Rows(const T* head, std::int64_t token_stride, int tokens, int width, int token, int channel)
      : next(head + token * token_stride + channel), stride(token_stride), left(channel < width ? tokens - token : 0) {}

  /// Reads a row; zero where there is no such row.
  [[nodiscard]] __device__ Words read(int row) const {
    if (row < left) return load_factors(next + row * stride);
    return {};
  }

  __device__ void skip(int rows) {
    next += rows * stride;
    left -= rows;
  }
};

/// The tokens of one head.
template <typename T>
struct Tokens {
  const T* data;
  std::int64_t stride;
  int count;
  int width;

  __device__ Tokens(const Map<const T>& map, std::int64_t n, int head, int tokens, int channels)
      : data(map.data + n * map.sample_stride + std::int64_t{head} * channels),
        stride(map.pixel_stride),
        count(tokens),
        width(channels) {}

  /// Returns the rows from `token` on, eight channels from `channel` on.
  [[nodiscard]] __device__ Rows<T> rows(int token, int channel) const {
    return Rows<T>(data, stride, count, width, token, channel);
  }
};

/// A warp's channels of a tile of queries, in chunks of 32: each of four neighbouring lanes has eight, which are its
/// columns of two tiles.
template <typename T>
struct QueryTile {
  LeftTile step[kChannels / 16];

  __device__ QueryTile(const Tokens<T>& queries, const Place& place, int first) {
    DPM_UNROLL
    for (int chunk = 0; chunk < kChannels / 32; ++chunk) {
      const int channel = place.channel + chunk * 32 + place.lane.pair * kAccess;
      const Rows<T> rows = queries.rows(first + place.lane.group, channel);
      const Words upper = rows.read(0);
      const Words lower = rows.read(8);
      DPM_UNROLL
      for (int i = 0; i < 2; ++i) step[2 * chunk + i] = left_tile(upper, lower, i);
    }
  }
};

/// A warp's channels of the next keys, laid out like those of queries.
template <typename T>
struct KeyTile {
  static constexpr int kChunks = kChannels / 32;
  Rows<T> rows[kChunks];
  Words chunk[kKeys / 8][kChunks];

  __device__ KeyTile(const Tokens<T>& keys, const Place& place)
      : rows{keys.rows(place.lane.group, place.channel + place.lane.pair * kAccess),
             keys.rows(place.lane.group, place.channel + place.lane.pair * kAccess + 32)} {}

  /// Reads the next tokens.
  __device__ void read() {
    DPM_UNROLL
    for (int i = 0; i < kChunks; ++i) {
      DPM_UNROLL
      for (int tile = 0; tile < kKeys / 8; ++tile) chunk[tile][i] = rows[i].read(8 * tile);
      rows[i].skip(kKeys);
    }
  }

  /// Writes the warp's share of the scores to `exchange`.
  __device__ void score(const QueryTile<T>& queries, const Place& place, Exchange& exchange) const {
    TileSums sums[kKeys / 8] = {};
    DPM_UNROLL
    for (int step = 0; step < kChannels / 16; ++step) {
      DPM_UNROLL
      for (int tile = 0; tile < kKeys / 8; ++tile) {
        multiply_tile<T>(sums[tile], queries.step[step], right_tile(chunk[tile][step / 2], step % 2));
      }
    }
    DPM_UNROLL
    for (int tile = 0; tile < kKeys / 8; ++tile) {
      const float* s = sums[tile].value;
      const int key = 8 * tile + 2 * place.lane.pair;
      store_vector<2>(&exchange.scores[place.warp][place.lane.group][key], Vector<float, 2>{{s[0], s[1]}});
      store_vector<2>(&exchange.scores[place.warp][place.lane.group + 8][key], Vector<float, 2>{{s[2], s[3]}});
    }
  }
};

/// A warp's channels of the next values. Eight neighbouring channels are a lane's column of eight tiles.
template <typename T>
struct ValueTile {
  Words token[kKeys / 16][4];

  /// Returns the rows where `read` begins.
  static __device__ Rows<T> rows(const Tokens<T>& values, const Place& place) {
    return values.rows(2 * place.lane.pair, place.channel + place.lane.group * kAccess);
  }

  /// Reads the next tokens, and moves `rows` behind them.
  __device__ void read(Rows<T>& rows) {
    DPM_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      DPM_UNROLL
      for (int i = 0; i < 4; ++i) token[step][i] = rows.read(16 * step + i / 2 * 8 + i % 2);
    }
    rows.skip(kKeys);
  }

  /// Returns the lane's column of one of the tiles: rows are tokens, so a word takes its halves from two of them.
  [[nodiscard]] __device__ RightTile column(int step, int tile) const {
    RightTile result;
    DPM_UNROLL
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t low = token[step][2 * i].word[tile / 2];
      const std::uint32_t high = token[step][2 * i + 1].word[tile / 2];
      result.word[i] = tile % 2 == 0 ? low_halves(low, high) : high_halves(low, high);
    }
    return result;
  }
};

/// A warp's channels of the result.
template <typename T>
struct ResultTile {
  TileSums tile[kAccess] = {};

  __device__ void scale(const float* factors, const Place& place) {
    const float upper = factors[place.lane.group];
    const float lower = factors[place.lane.group + 8];
    DPM_UNROLL
    for (TileSums& sums : tile) {
      sums.value[0] *= upper;
      sums.value[1] *= upper;
      sums.value[2] *= lower;
      sums.value[3] *= lower;
    }
  }

  __device__ void add(const ValueTile<T>& values, const Place& place, const Exchange& exchange) {
    DPM_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      const std::uint32_t* upper = &exchange.weights[place.lane.group][8 * step + place.lane.pair];
      const std::uint32_t* lower = &exchange.weights[place.lane.group + 8][8 * step + place.lane.pair];
      const LeftTile weights = {{upper[0], lower[0], upper[4], lower[4]}};
      DPM_UNROLL
      for (int i = 0; i < kAccess; ++i) multiply_tile<T>(tile[i], weights, values.column(step, i));
    }
  }

  /// Stores a row of the result; a lane has two columns of eight channels each.
  __device__ void store(T* row, int width, const Place& place, int half) const {
    DPM_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int channel = place.channel + (2 * place.lane.pair + i) * kAccess;
      if (channel >= width) continue;
      Floats<kAccess> result;
      DPM_UNROLL
      for (int c = 0; c < kAccess; ++c) result.value[c] = tile[c].value[2 * half + i];
      store_vector(row + channel, from_floats<T>(result));
    }
  }
};

}  // namespace dpm::cuda::wide_attention
