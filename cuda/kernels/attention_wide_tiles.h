// What the warps of a block of attention_wide.cu multiply: tiles of queries, keys, values and results in their
// registers.
//
// A block has 16 queries of one head, each of its warps 64 channels of them. The warps multiply their channels of
// queries and keys, each of them makes weights of two queries' scores, and all of them multiply these by their channels
// of the values. No operand is read by two warps, so all of them go straight into registers, 16 bytes at a time; which
// channel is which column of a tile is therefore free, and is chosen so that a lane's columns are neighbours in memory.
#pragma once

#include <cstdint>

#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/tensor_core.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda::wide_attention {

constexpr int kWarps = 8;
/// Of a block.
constexpr int kQueries = 16;
/// That a block takes at once.
constexpr int kKeys = 32;
/// Of one access.
constexpr int kAccess = 8;
/// Of a warp.
constexpr int kChannels = 64;

/// What the warps tell each other. Rows are longer than they need be, so that a warp's accesses fall into different
/// banks.
struct alignas(16) Exchange {
  float scores[kWarps][kQueries][kKeys + 8];  ///< each warp's channels' share
  std::uint32_t weights[kQueries][kKeys / 2 + 4];
  float factors[kQueries];  ///< for what is summed up, now that the largest score is another
  float inverses[kQueries];
};

/// A lane's in its block.
struct Place {
  int warp = static_cast<int>(threadIdx.x / kWarp);
  TileLane lane = tile_lane();
  int channel = warp * kChannels;  ///< the warp's first
};

/// Eight channels as words.
using Words = FactorWords;

/// Eight channels of a head's tokens, from one of them on, as a lane reads them.
template <typename T>
struct Rows {
  const T* next;
  std::int64_t stride;
  int left;  ///< none where the head has no such channels

  __device__ Rows(const T* head, std::int64_t token_stride, int tokens, int width, int token, int channel)
      : next(head + token * token_stride + channel), stride(token_stride), left(channel < width ? tokens - token : 0) {}

  /// Zero where there is no such row.
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

  /// From `token` on, eight channels from `channel` on.
  [[nodiscard]] __device__ Rows<T> rows(int token, int channel) const {
    return Rows<T>(data, stride, count, width, token, channel);
  }
};

/// A warp's channels of a tile of queries, in chunks of 32: four neighbouring lanes have eight each, which are their
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

/// The same of the next keys.
template <typename T>
struct KeyTile {
  static constexpr int kChunks = kChannels / 32;
  Rows<T> rows[kChunks];
  Words chunk[kKeys / 8][kChunks];

  __device__ KeyTile(const Tokens<T>& keys, const Place& place)
      : rows{keys.rows(place.lane.group, place.channel + place.lane.pair * kAccess),
             keys.rows(place.lane.group, place.channel + place.lane.pair * kAccess + 32)} {}

  /// The next tokens.
  __device__ void read() {
    DPM_UNROLL
    for (int i = 0; i < kChunks; ++i) {
      DPM_UNROLL
      for (int tile = 0; tile < kKeys / 8; ++tile) chunk[tile][i] = rows[i].read(8 * tile);
      rows[i].skip(kKeys);
    }
  }

  /// Leaves the warp's share of the scores.
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

/// A warp's channels of the next values. Eight neighbouring channels are a lane's column of as many tiles.
template <typename T>
struct ValueTile {
  Words token[kKeys / 16][4];

  /// Where `read` begins.
  static __device__ Rows<T> rows(const Tokens<T>& values, const Place& place) {
    return values.rows(2 * place.lane.pair, place.channel + place.lane.group * kAccess);
  }

  /// The next tokens, and leaves `rows` behind them.
  __device__ void read(Rows<T>& rows) {
    DPM_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      DPM_UNROLL
      for (int i = 0; i < 4; ++i) token[step][i] = rows.read(16 * step + i / 2 * 8 + i % 2);
    }
    rows.skip(kKeys);
  }

  /// The lane's column of one of the tiles: rows are tokens, so a word takes its halves from two of them.
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

  /// A lane has two columns of eight channels each.
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
