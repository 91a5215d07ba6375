// Products of small matrices by a warp's tensor cores: PTX's mma.sync.aligned.m16n8k16, which every GPU from compute
// capability 8.0 on has, with 16-bit factors and float32 sums.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {

/// A lane's place in the tiles of its warp.
struct TileLane {
  int group;  ///< number from 0 to 7: its rows of the left tile and of the sums are group and group + 8, its right
              ///< column is group
  int pair;   ///< number from 0 to 3: the pair of neighbouring elements 2 * pair and 2 * pair + 1 that share a word
};

__device__ inline TileLane tile_lane() {
  const auto lane = static_cast<int>(threadIdx.x % kWarp);
  return {lane / 4, lane % 4};
}

/// A lane's elements of a 16 x 16 matrix: word 0 holds (group, 2 * pair) in its low half and (group, 2 * pair + 1) in
/// its high one, word 1 those of row group + 8, words 2 and 3 the same 8 columns further.
struct LeftTile {
  std::uint32_t word[4];
};

/// A lane's elements of a 16 x 8 matrix: word 0 holds (2 * pair, group) in its low half and (2 * pair + 1, group) in
/// its high one, word 1 those 8 rows further.
struct RightTile {
  std::uint32_t word[2];
};

/// A lane's elements of a 16 x 8 matrix: (group, 2 * pair), (group, 2 * pair + 1) and the same of row group + 8.
struct TileSums {
  float value[4];
};

/// Factors that a lane reads at once.
constexpr int kFactors = 8;

/// Words of kFactors neighbours in memory. Two tiles have them: their assignment to the tile's columns, or rows of the
/// right one, is free where both factors of a product agree.
using FactorWords = vector_access::Words<sizeof(Vector<Half, kFactors>)>;

/// Reads factors; `source` is aligned for them.
template <typename T>
__device__ FactorWords load_factors(const T* source) {
  const Vector<T, kFactors> vector = load_vector<kFactors>(source);
  FactorWords words;
  std::memcpy(&words, &vector, sizeof words);
  return words;
}

/// Returns tile `index`, 0 or 1, of a lane's two rows.
__device__ inline LeftTile left_tile(const FactorWords& upper, const FactorWords& lower, int index) {
  return {{upper.word[2 * index], lower.word[2 * index], upper.word[2 * index + 1], lower.word[2 * index + 1]}};
}
__device__ inline RightTile right_tile(const FactorWords& words, int index) {
  return {{words.word[2 * index], words.word[2 * index + 1]}};
}

/// Packs two numbers into a word, with `low` in its low half.
template <typename T>
DPM_HOST_DEVICE std::uint32_t pack(T low, T high) {
  return low.bits | static_cast<std::uint32_t>(high.bits) << 16;
}

#if defined(__CUDACC__)

/// Packs the low halves of two words into one.
__device__ __forceinline__ std::uint32_t low_halves(std::uint32_t low, std::uint32_t high) {
  return __byte_perm(low, high, 0x5410);
}
/// Packs the high halves of two words into one.
__device__ __forceinline__ std::uint32_t high_halves(std::uint32_t low, std::uint32_t high) {
  return __byte_perm(low, high, 0x7632);
}

/// Computes sums += left * right, by all lanes of a warp together. T is Half or Bfloat16.
template <typename T>
__device__ __forceinline__ void multiply_tile(TileSums& sums, const LeftTile& left, const RightTile& right) {
  float* s = sums.value;
  if constexpr (std::is_same_v<T, Half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
        : "r"(left.word[0]), "r"(left.word[1]), "r"(left.word[2]), "r"(left.word[3]), "r"(right.word[0]),
          "r"(right.word[1]));
  } else {
    static_assert(std::is_same_v<T, Bfloat16>);
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
        : "r"(left.word[0]), "r"(left.word[1]), "r"(left.word[2]), "r"(left.word[3]), "r"(right.word[0]),
          "r"(right.word[1]));
  }
}

#else

inline std::uint32_t low_halves(std::uint32_t low, std::uint32_t high) { return (low & 0xFFFFU) | high << 16; }
inline std::uint32_t high_halves(std::uint32_t low, std::uint32_t high) { return low >> 16 | (high & 0xFFFF0000U); }

namespace tensor_core {

/// A lane's factors of a product, as numbers.
struct Factors {
  float left[4][2];
  float right[2][2];
};

template <typename T>
Factors unpack(const LeftTile& left, const RightTile& right) {
  const auto half = [](std::uint32_t word, int index) {
    return to_float(T{static_cast<std::uint16_t>(word >> (16 * index))});
  };
  Factors factors;
  for (int i = 0; i < 2; ++i) {
    for (int word = 0; word < 4; ++word) factors.left[word][i] = half(left.word[word], i);
    for (int word = 0; word < 2; ++word) factors.right[word][i] = half(right.word[word], i);
  }
  return factors;
}

}  // namespace tensor_core

template <typename T>
void multiply_tile(TileSums& sums, const LeftTile& left, const RightTile& right) {
  const simt::Shown<tensor_core::Factors> warp(tensor_core::unpack<T>(left, right));
  const TileLane lane = tile_lane();
  tensor_core::Factors row[4];
  for (int pair = 0; pair < 4; ++pair) row[pair] = warp[lane.group * 4 + pair];
  for (int side = 0; side < 2; ++side) {
    tensor_core::Factors column[4];
    for (int pair = 0; pair < 4; ++pair) column[pair] = warp[(2 * lane.pair + side) * 4 + pair];
    for (int half = 0; half < 2; ++half) {
      float& sum = sums.value[2 * half + side];
      for (int k = 0; k < 16; ++k) {
        const int pair = k % 8 / 2;
        sum += row[pair].left[half + k / 8 * 2][k % 2] * column[pair].right[k / 8][k % 2];
      }
    }
  }
}

#endif

}  // namespace dpm::cuda
