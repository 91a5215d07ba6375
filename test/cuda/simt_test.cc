// Test of the emulation itself, and of numbers as kernels store them.
#include "simt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "cuda/kernels/storage.h"
#include "emulation.h"

namespace dpm::test {
namespace {

TEST(Simt, EveryThreadOfEveryBlockRunsOnce) {
  std::vector<int> runs(2 * 3 * 40);
  simt::launch(nullptr, dim3(2, 3), dim3(40),
               [&] { ++runs[(blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x]; });
  synchronize();
  EXPECT_EQ(runs, std::vector<int>(runs.size(), 1));
}

TEST(Simt, ASeedShufflesTheBlocks) {
  constexpr unsigned kBlocks = 24;
  const auto order = [](std::uint32_t seed) {
    const ThreadOrder threads(seed);
    std::vector<unsigned> blocks;
    simt::launch(nullptr, dim3(kBlocks / 2, 2), dim3(1),
                 [&] { blocks.push_back(blockIdx.y * gridDim.x + blockIdx.x); });
    synchronize();
    return blocks;
  };
  const std::vector<unsigned> own = order(0);
  EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
  EXPECT_EQ(own.size(), kBlocks);
  for (const std::uint32_t seed : {1U, 2U}) {
    const std::vector<unsigned> shuffled = order(seed);
    EXPECT_NE(shuffled, own);
    EXPECT_TRUE(std::is_permutation(own.begin(), own.end(), shuffled.begin(), shuffled.end()));
  }
  EXPECT_NE(order(1), order(2));
}

TEST(Simt, ShufflesExchangeWithinAWarp) {
  for (const std::uint32_t order : kThreadOrders) {
    const ThreadOrder threads(order);
    std::vector<unsigned> received(64);
    simt::launch(nullptr, dim3(1), dim3(64), [&] { received[threadIdx.x] = __shfl_xor_sync(~0u, threadIdx.x, 5); });
    synchronize();
    for (unsigned i = 0; i < received.size(); ++i) EXPECT_EQ(received[i], i ^ 5u);
  }
}

TEST(Simt, ALaneSeesItsWarp) {
  struct Pair {
    unsigned thread;
    double square;
  };
  for (const std::uint32_t order : kThreadOrders) {
    const ThreadOrder threads(order);
    std::vector<unsigned> wrong(64);
    simt::launch(nullptr, dim3(1), dim3(64), [&] {
      for (unsigned round = 1; round < 4; ++round) {
        const unsigned own = threadIdx.x;
        const simt::Shown<Pair> warp(Pair{own * round, 1.0 * own * own});
        for (unsigned i = 0; i < simt::kLanes; ++i) {
          const unsigned other = own / 32 * 32 + i;
          if (warp[i].thread != other * round || warp[i].square != 1.0 * other * other) ++wrong[own];
        }
      }
    });
    synchronize();
    EXPECT_EQ(wrong, std::vector<unsigned>(64));
  }
}

TEST(Simt, ADivergentBarrierIsAnError) {
  const auto diverge = [] {
    if (threadIdx.x < 8) {
      __syncthreads();
    } else {
      __syncwarp();
      __syncwarp();
    }
    if (threadIdx.x < 4) __shfl_xor_sync(~0u, 1, 4);
    if (threadIdx.x >= 8) __syncthreads();
  };
  simt::launch(nullptr, dim3(1), dim3(32), diverge);
  EXPECT_THROW(synchronize(), std::runtime_error);
}

TEST(Storage, EveryHalfSurvivesTheWayThroughFloat) {
  for (unsigned bits = 0; bits <= 0xFFFFu; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    if (value != value) {
      EXPECT_NE(half_to_float(float_to_half(value)), value);
      continue;
    }
    ASSERT_EQ(float_to_half(value), bits);
  }
}

TEST(Storage, HalfRoundsToTheNearestTiesToEven) {
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F), float_to_half(1.0F));
  EXPECT_EQ(float_to_half(1.0F + 0x1.8p-10F), float_to_half(1.0F + 0x1p-9F));
  EXPECT_EQ(float_to_half(0x1p-25F), 0);
  EXPECT_EQ(float_to_half(0x1.000002p-25F), 1);
  EXPECT_EQ(float_to_half(65519.0F), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(-std::numeric_limits<float>::infinity()), 0xFC00);
}

}  // namespace
}  // namespace dpm::test
