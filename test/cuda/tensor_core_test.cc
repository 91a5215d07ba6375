// Test of the emulated product of tiles against a plain loop. The places of elements are written here a second time,
// from the figures of PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
#include "cuda/kernels/tensor_core.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "emulation.h"
#include "kernel_case.h"

namespace dpm::test {
namespace {

constexpr int kRows = 16;
constexpr int kDepth = 16;
constexpr int kColumns = 8;

struct Element {
  int row;
  int column;
};

/// Returns the place of element a_i of the multiplicand A.
Element left_element(int lane, int i) {
  const int group = lane >> 2;
  const int in_group = lane % 4;
  const bool upper = i < 2 || (4 <= i && i < 6);
  return {upper ? group : group + 8, in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
}

/// Returns the place of element b_i of the multiplicand B.
Element right_element(int lane, int i) { return {lane % 4 * 2 + (i & 1) + (i >= 2 ? 8 : 0), lane >> 2}; }

/// Returns the place of element c_i of the accumulator.
Element sum_element(int lane, int i) { return {(lane >> 2) + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)}; }

template <typename T>
struct Product {
  explicit Product(std::uint32_t seed) : random(seed) {
    left = stored<T>(random.normals(kRows * kDepth));
    right = stored<T>(random.normals(kDepth * kColumns));
    sums = random.normals(kRows * kColumns);
  }

  [[nodiscard]] std::vector<float> expected() const {
    std::vector<float> result(sums.size());
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        double sum = sums[row * kColumns + column];
        for (int k = 0; k < kDepth; ++k) {
          sum += value_of(left.data(), row * kDepth + k) * value_of(right.data(), k * kColumns + column);
        }
        result[row * kColumns + column] = static_cast<float>(sum);
      }
    }
    return result;
  }

  /// Runs the product in every warp of a block.
  std::array<std::vector<float>, 2> run() {
    std::array<std::vector<float>, 2> results = {sums, sums};
    simt::launch(nullptr, dim3(1), dim3(64), [&] { multiply(results[threadIdx.x / 32]); });
    synchronize();
    return results;
  }

  void multiply(std::vector<float>& result) const {
    const auto lane = static_cast<int>(threadIdx.x % 32);
    const auto left_bits = [&](int i) {
      const Element e = left_element(lane, i);
      return left[e.row * kDepth + e.column];
    };
    const auto right_bits = [&](int i) {
      const Element e = right_element(lane, i);
      return right[e.row * kColumns + e.column];
    };
    const auto sum = [&](int i) -> float& {
      const Element e = sum_element(lane, i);
      return result[e.row * kColumns + e.column];
    };
    cuda::LeftTile a{};
    cuda::RightTile b{};
    for (int i = 0; i < 4; ++i) a.word[i] = cuda::pack(left_bits(2 * i), left_bits(2 * i + 1));
    for (int i = 0; i < 2; ++i) b.word[i] = cuda::pack(right_bits(2 * i), right_bits(2 * i + 1));
    cuda::TileSums c = {{sum(0), sum(1), sum(2), sum(3)}};
    cuda::multiply_tile<T>(c, a, b);
    for (int i = 0; i < 4; ++i) sum(i) = c.value[i];
  }

  RandomValues random;
  DeviceVector<T> left;
  DeviceVector<T> right;
  std::vector<float> sums;
};

template <typename T>
void check_products() {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    for (const std::uint32_t order : kThreadOrders) {
      const ThreadOrder threads(order);
      Product<T> product(seed);
      const std::vector<float> expected = product.expected();
      for (const std::vector<float>& result : product.run()) {
        ASSERT_LT(relative_difference(result, expected), 1e-6) << "seed " << seed << ", order " << order;
      }
    }
  }
}

TEST(CudaTensorCore, HalfTilesAreMultipliedAsPtxLaysThemOut) { check_products<cuda::Half>(); }
TEST(CudaTensorCore, Bfloat16TilesAreMultipliedAsPtxLaysThemOut) { check_products<cuda::Bfloat16>(); }

TEST(CudaTensorCore, EveryElementHasOnePlace) {
  std::vector<int> left(kRows * kDepth);
  std::vector<int> right(kDepth * kColumns);
  std::vector<int> sums(kRows * kColumns);
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) ++left[left_element(lane, i).row * kDepth + left_element(lane, i).column];
    for (int i = 0; i < 4; ++i) ++right[right_element(lane, i).row * kColumns + right_element(lane, i).column];
    for (int i = 0; i < 4; ++i) ++sums[sum_element(lane, i).row * kColumns + sum_element(lane, i).column];
  }
  EXPECT_EQ(left, std::vector<int>(left.size(), 1));
  EXPECT_EQ(right, std::vector<int>(right.size(), 1));
  EXPECT_EQ(sums, std::vector<int>(sums.size(), 1));
}

}  // namespace
}  // namespace dpm::test
