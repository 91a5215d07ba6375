// Test of additions of low rank to weights.
#include "weights/additions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "backend/constant.h"
#include "core/error.h"
#include "graph/lowered.h"
#include "graph_runner.h"
#include "weight_file.h"
#include "weights/weights.h"

namespace dpm::test {
namespace {

/// Files of a weight and of factors, and what lies in the latter.
class Additions : public testing::Test {
 protected:
  Additions() : values_(400) {
    std::ifstream(factors_.path(), std::ios::binary).read(reinterpret_cast<char*>(values_.data()), 1600);
  }

  /// A factor that begins at an element of its file.
  [[nodiscard]] static FactorLocation factor(const char* name, std::vector<std::int64_t> shape, std::uint64_t first) {
    std::uint64_t elements = 1;
    for (const std::int64_t side : shape) elements *= static_cast<std::uint64_t>(side);
    return {name, 1, DType::kFloat32, std::move(shape), 4 * first, 4 * elements};
  }

  [[nodiscard]] Weights opened(const WeightLocation& location) const {
    Weights weights([] {}, known_);
    weights.add_file(base_.path());
    weights.add_file(factors_.path());
    weights.add(location);
    return weights;
  }

  [[nodiscard]] std::vector<float> elements(const WeightLocation& location) const {
    const Weights weights = opened(location);
    const dpm_constant lowered = graph::lower(weights.get(location.name));
    const ConstantElements read(lowered);
    return {read.floats(), read.floats() + read.size()};
  }

  [[nodiscard]] std::uint64_t identity(const WeightLocation& location) const {
    return opened(location).get(location.name).identity;
  }

  WeightFile base_{200};
  WeightFile factors_{400};
  std::vector<float> values_;
  std::shared_ptr<KnownWeights> known_ = std::make_shared<KnownWeights>();
};

TEST_F(Additions, AreProductsOfMatrices) {
  WeightLocation weight{"w", 0, DType::kFloat32, {3, 4}, 0, 48};
  const std::vector<float> base = elements(weight);
  constexpr std::size_t kRank = 6;
  weight.additions = {{0.5F, factor("up", {3, kRank}, 10), {}, factor("down", {kRank, 4}, 50)},
                      {-2, factor("up 2", {3, 1, 1, 1}, 100), {}, factor("down 2", {1, 4, 1, 1}, 7)}};
  const std::vector<float> sum = elements(weight);
  ASSERT_EQ(sum.size(), 12U);
  for (std::size_t o = 0; o < 3; ++o) {
    for (std::size_t i = 0; i < 4; ++i) {
      double expected = base[o * 4 + i] - 2 * values_[100 + o] * values_[7 + i];
      for (std::size_t r = 0; r < kRank; ++r) {
        expected += 0.5 * values_[10 + o * kRank + r] * values_[50 + r * 4 + i];
      }
      EXPECT_NEAR(sum[o * 4 + i], expected, 1e-5);
    }
  }
}

TEST_F(Additions, AreProductsOfKernels) {
  WeightLocation weight{"w", 0, DType::kFloat32, {2, 3, 2, 2}, 0, 96};
  const std::vector<float> base = elements(weight);
  weight.additions = {{2, factor("up", {2, 2, 1, 1}, 0), {}, factor("down", {2, 3, 2, 2}, 20)}};
  std::vector<float> sum = elements(weight);
  for (std::size_t j = 0; j < 24; ++j) {
    const std::size_t o = j / 12;
    double expected = base[j];
    for (std::size_t r = 0; r < 2; ++r) expected += 2.0 * values_[o * 2 + r] * values_[20 + r * 12 + j % 12];
    EXPECT_NEAR(sum[j], expected, 1e-5);
  }
  // A kernel between both others, of ranks 3 and 5.
  weight.additions = {{2, factor("up", {2, 3, 1, 1}, 0), factor("mid", {3, 5, 2, 2}, 30), factor("down", {5, 3}, 200)}};
  sum = elements(weight);
  for (std::size_t j = 0; j < 24; ++j) {
    const std::size_t o = j / 12;
    const std::size_t i = j / 4 % 3;
    double expected = base[j];
    for (std::size_t r = 0; r < 3; ++r) {
      for (std::size_t s = 0; s < 5; ++s) {
        expected += 2.0 * values_[o * 3 + r] * values_[30 + (r * 5 + s) * 4 + j % 4] * values_[200 + s * 3 + i];
      }
    }
    EXPECT_NEAR(sum[j], expected, 1e-4);
  }
}

TEST_F(Additions, AreToTheElementsThatAViewPicks) {
  const WeightLocation plain{"w", 0, DType::kFloat32, {3, 4}, 0, 48};
  WeightLocation transposed{"w", 0, DType::kFloat32, {4, 3}, 0, 48, {4, 3}, {1, 4}};
  const std::vector<float> base = elements(plain);
  transposed.additions = {{1, factor("up", {4, 1}, 0), {}, factor("down", {1, 3}, 8)}};
  const std::vector<float> sum = elements(transposed);
  for (std::size_t o = 0; o < 4; ++o) {
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(sum[o * 3 + i], base[i * 4 + o] + values_[o] * values_[8 + i], 1e-6);
    }
  }
}

TEST_F(Additions, MakeWeightsOfTheirOwn) {
  const WeightLocation weight{"w", 0, DType::kFloat32, {3, 4}, 0, 48};
  std::set<std::uint64_t> seen{identity(weight)};
  WeightLocation added = weight;
  added.additions = {{0.5F, factor("up", {3, 2}, 10), {}, factor("down", {2, 4}, 50)}};
  EXPECT_TRUE(seen.insert(identity(added)).second) << "the base and the sum";
  EXPECT_EQ(identity(added), identity(added));
  const auto is_new = [&](const std::function<void(AdditionLocation&)>& change) {
    WeightLocation other = added;
    change(other.additions.front());
    return seen.insert(identity(other)).second;
  };
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.factor = 0.25F; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.up.offset += 4; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.down.offset += 4; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.down.file = 0; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.up.file = 0; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.up = {"up", 1, DType::kFloat16, {3, 2}, 40, 12}; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.up.shape = {3, 2, 1, 1}; }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.mid = factor("mid", {2, 2, 1, 1}, 90); }));
  EXPECT_TRUE(is_new([](AdditionLocation& a) { a.mid = factor("mid", {2, 2, 1, 1}, 91); }));
  WeightLocation twice = added;
  twice.additions.push_back(twice.additions.front());
  EXPECT_TRUE(seen.insert(identity(twice)).second) << "an addition once and twice";
  const auto time = std::filesystem::last_write_time(factors_.path());
  std::filesystem::last_write_time(factors_.path(), time + std::chrono::seconds(1));
  EXPECT_TRUE(seen.insert(identity(added)).second) << "a file that has changed";
}

TEST_F(Additions, AreRefusedWhereTheyDoNotFit) {
  const WeightLocation weight{"w", 0, DType::kFloat32, {3, 4}, 0, 48};
  const auto code = [&](const std::function<void(AdditionLocation&)>& change) {
    WeightLocation other = weight;
    other.additions = {{1, factor("up", {3, 2}, 10), {}, factor("down", {2, 4}, 50)}};
    change(other.additions.front());
    return code_of([&] { (void)opened(other); });
  };
  using A = AdditionLocation;
  EXPECT_EQ(code([](A& a) { a.up = factor("up", {4, 2}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.up = factor("up", {3, 1}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down = factor("down", {2, 5}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down = factor("down", {2, 2, 2}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down.bytes += 4; }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down.shape = {2, -4}; }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down.shape = {0, 4}; }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.down.shape = {1LL << 40, 1LL << 40}; }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.mid = factor("mid", {2, 3, 1, 1}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.mid = factor("mid", {2, 2, 2, 1}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.mid = factor("mid", {2, 2}, 0); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code([](A& a) { a.up.offset = 1600 - 20; }), ErrorCode::kFileTruncated);
  EXPECT_EQ(code([](A& a) { a.up.offset = ~std::uint64_t{0}; }), ErrorCode::kFileTruncated);
  EXPECT_EQ(code([](A& a) { a.up.file = 2; }), ErrorCode::kArgument);
  WeightLocation row{"row", 0, DType::kFloat32, {4}, 0, 16};
  row.additions = {{1, factor("up", {4, 1}, 0), {}, factor("down", {1, 1}, 0)}};
  EXPECT_EQ(code_of([&] { (void)opened(row); }), ErrorCode::kArgument);
  WeightLocation given{.name = "given", .shape = {1, 1}, .given = {1}};
  given.additions = {{1, factor("up", {1, 1}, 0), {}, factor("down", {1, 1}, 0)}};
  EXPECT_EQ(code_of([&] { (void)opened(given); }), ErrorCode::kArgument);
}

TEST_F(Additions, AreRefusedWhenTheirFileHasChanged) {
  WeightLocation weight{"w", 0, DType::kFloat32, {3, 4}, 0, 48};
  weight.additions = {{1, factor("up", {3, 2}, 10), {}, factor("down", {2, 4}, 50)}};
  const Weights weights = opened(weight);
  std::vector<float> sum(12);
  weights.get("w").read(sum.data());
  std::fstream(factors_.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(203).put('x');
  EXPECT_EQ(code_of([&] { weights.get("w").read(sum.data()); }), ErrorCode::kFile);
  std::filesystem::resize_file(factors_.path(), 202);
  EXPECT_EQ(code_of([&] { weights.get("w").read(sum.data()); }), ErrorCode::kFileTruncated);
}

}  // namespace
}  // namespace dpm::test
