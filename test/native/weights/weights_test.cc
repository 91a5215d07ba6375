// Test of weights in files.
#include "weights/weights.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "backend/constant.h"
#include "core/error.h"
#include "graph/lowered.h"
#include "graph_runner.h"
#include "weight_file.h"

namespace dpm::test {
namespace {

TEST(Weights, AreChecked) {
  const WeightFile file(20000);
  Weights w;
  w.add_file(file.path());
  w.add({"bias", 0, DType::kFloat32, {8}, 0, 32});
  EXPECT_EQ(w.parameters(), 8U);
  EXPECT_EQ(code_of([&] { w.add({"far", 0, DType::kFloat32, {100}, 80000 - 396, 400}); }), ErrorCode::kFileTruncated);
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(code_of([&] { w.add({"wrapped", 0, DType::kFloat32, {8}, 16, most, {8}, {1}}); }),
            ErrorCode::kFileTruncated);
  EXPECT_EQ(code_of([&] { w.add({"huge", 0, DType::kFloat32, {1LL << 40, 1LL << 40}, 0, 4}); }),
            ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"odd", 0, DType::kFloat16, {3}, 0, 12}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"elsewhere", 1, DType::kFloat16, {3}, 0, 6}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add({"bias", 0, DType::kFloat32, {8}, 0, 32}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add_file("/nonexistent/weights"); }), ErrorCode::kFile);
  EXPECT_EQ(code_of([&] { (void)w.get("other"); }), ErrorCode::kTensorMissing);
}

TEST(Weights, CanBeGiven) {
  Weights w;
  w.add({.name = "matrix", .shape = {2, 2}, .given = {1, 2, 3, 4}});
  EXPECT_EQ(w.parameters(), 0U);
  const dpm_constant lowered = graph::lower(w.get("matrix"));
  const ConstantElements elements(lowered);
  EXPECT_EQ(elements.size(), 4U);
  EXPECT_EQ(elements[3], 4.0F);
  EXPECT_EQ(code_of([&] { w.add({.name = "long", .shape = {2}, .given = {1, 2, 3}}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({.name = "matrix", .shape = {1}, .given = {1}}); }), ErrorCode::kArgument);
}

TEST(Weights, AreReadWhenTheyAreLoaded) {
  const WeightFile file(100);
  Weights w;
  w.add_file(file.path());
  w.add({"row", 0, DType::kFloat32, {4}, 16, 16});
  w.add({"last", 0, DType::kFloat32, {4}, 384, 16});
  // A view reads up to its last element only.
  w.add({"column", 0, DType::kFloat32, {3}, 4, 36, {3}, {4}});
  std::vector<float> expected(100);
  std::ifstream(file.path(), std::ios::binary).read(reinterpret_cast<char*>(expected.data()), 400);
  const auto values = [&](const char* name) {
    const dpm_constant lowered = graph::lower(w.get(name));
    const ConstantElements elements(lowered);
    std::vector<float> result(elements.size());
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = elements[i];
    return result;
  };
  EXPECT_EQ(values("row"), std::vector<float>(expected.begin() + 4, expected.begin() + 8));
  EXPECT_EQ(values("column"), (std::vector<float>{expected[1], expected[5], expected[9]}));
  EXPECT_EQ(w.get("column").bytes, 36U);
  std::filesystem::resize_file(file.path(), 390);
  EXPECT_EQ(values("row"), std::vector<float>(expected.begin() + 4, expected.begin() + 8));
  EXPECT_EQ(code_of([&] { values("last"); }), ErrorCode::kFileTruncated);
}

TEST(Weights, OfADerivativeAreThoseOfItsNetwork) {
  const WeightFile file(100);
  const auto known = std::make_shared<KnownWeights>();
  const auto read = [&](const std::vector<const char*>& names) {
    Weights w([] {}, known);
    w.add_file(file.path());
    w.add({"row", 0, DType::kFloat32, {4}, 16, 16});
    w.add({"last", 0, DType::kFloat32, {4}, 384, 16});
    for (const char* name : names) const ConstantElements elements(graph::lower(w.get(name)));
  };
  read({"row"});
  std::fstream(file.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(384).put('x');
  read({"row", "last"});
  std::fstream(file.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(31).put('x');
  read({"last"});
  EXPECT_EQ(code_of([&] { read({"row"}); }), ErrorCode::kFile);
}

TEST(Weights, HaveAnIdentityByTheirPlace) {
  KnownWeights known;
  const WeightPlace place{"a", {1, 2}, 16, DType::kFloat32, {2, 3}, {3, 2}, {1, 3}};
  std::set<std::uint64_t> seen{known.identity(place)};
  EXPECT_EQ(known.identity(place), *seen.begin());
  const auto is_new = [&](void (*change)(WeightPlace&)) {
    WeightPlace other = place;
    change(other);
    return seen.insert(known.identity(other)).second;
  };
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.file = "b"; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.version.index = 3; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.version.changed = 3; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.offset = 20; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.dtype = DType::kFloat16; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.shape = {3, 2}; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.view_dims = {2, 3}; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.view_strides = {3, 1}; }));
  EXPECT_TRUE(is_new([](WeightPlace& p) { p.additions = {{7, {{"c", {1, 2}, 8, DType::kFloat16, {2, 1}}}}}; }));
  EXPECT_FALSE(seen.contains(KnownWeights().identity(place))) << "another network's file may have other contents";
}

TEST(Weights, HaveAnIdentityByWhatIsAddedToThem) {
  KnownWeights known;
  const FactorPlace factor{"c", {1, 2}, 8, DType::kFloat16, {2, 1}};
  WeightPlace place{"a", {1, 2}, 16, DType::kFloat32, {2, 3}, {}, {}};
  std::set<std::uint64_t> seen{known.identity(place)};
  place.additions = {{7, {factor, factor}}};
  EXPECT_TRUE(seen.insert(known.identity(place)).second);
  EXPECT_FALSE(seen.insert(known.identity(place)).second);
  const auto is_new = [&](void (*change)(std::vector<AdditionPlace>&)) {
    WeightPlace other = place;
    change(other.additions);
    return seen.insert(known.identity(other)).second;
  };
  using Places = std::vector<AdditionPlace>;
  EXPECT_TRUE(is_new([](Places& p) { p[0].factor = 8; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors.pop_back(); }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].file = "d"; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].version.index = 3; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].version.changed = 3; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].offset = 4; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].dtype = DType::kBFloat16; }));
  EXPECT_TRUE(is_new([](Places& p) { p[0].factors[1].shape = {1, 2}; }));
  EXPECT_TRUE(is_new([](Places& p) { p.push_back(p[0]); }));
}

TEST(Weights, HaveTheIdentityOfTheirPlace) {
  const WeightFile file(100);
  const auto known = std::make_shared<KnownWeights>();
  const auto identity = [&](const WeightLocation& location) {
    Weights w([] {}, known);
    w.add_file(file.path());
    w.add(location);
    return w.get("row").identity;
  };
  const platform::FileVersion version = InputFile(file.path()).version();
  const WeightLocation row{"row", 0, DType::kFloat32, {4}, 16, 16};
  const std::uint64_t first = identity(row);
  EXPECT_EQ(first, known->identity({file.path(), version, 16, DType::kFloat32, {4}, {}, {}}));
  const WeightLocation view{"row", 0, DType::kFloat32, {2}, 16, 16, {2}, {2}};
  EXPECT_EQ(identity(view), known->identity({file.path(), version, 16, DType::kFloat32, {2}, {2}, {2}}));
  const auto time = std::filesystem::last_write_time(file.path());
  std::filesystem::last_write_time(file.path(), time + std::chrono::microseconds(1));
  EXPECT_NE(identity(row), first);
  std::filesystem::last_write_time(file.path(), time);
  EXPECT_EQ(identity(row), first);
  std::filesystem::copy(file.path(), file.path() + ".copy");
  std::filesystem::last_write_time(file.path() + ".copy", time);
  std::filesystem::rename(file.path() + ".copy", file.path());
  EXPECT_NE(identity(row), first) << "another file of the same time";
}

TEST(Weights, DigestsDifferWhereverOneByteDoes) {
  for (const std::size_t bytes : {1, 7, 8, 31, 32, 33, 63, 64, 100}) {
    // Bytes behind the end, in the guard, are not read.
    std::vector<unsigned char> data(bytes + 32, 5);
    const std::uint64_t digest = digest_of(data.data(), bytes);
    std::set<std::uint64_t> seen{digest};
    for (std::size_t i = 0; i < bytes + 32; ++i) {
      data[i] ^= 0x80U;
      const bool is_new = seen.insert(digest_of(data.data(), bytes)).second;
      EXPECT_EQ(is_new, i < bytes) << i << " of " << bytes;
      data[i] ^= 0x80U;
    }
  }
  const unsigned char zeros[64] = {};
  std::set<std::uint64_t> of_lengths;
  for (std::size_t bytes = 0; bytes <= 64; ++bytes) of_lengths.insert(digest_of(zeros, bytes));
  EXPECT_EQ(of_lengths.size(), 65U);
}

TEST(Weights, AreNotReadWhenNobodyWantsThem) {
  const WeightFile file(50);
  bool wanted = true;
  Weights w([&] {
    if (!wanted) throw Error(ErrorCode::kAborted, "loading was aborted");
  });
  w.add_file(file.path());
  w.add({"row", 0, DType::kFloat32, {4}, 0, 16});
  std::array<float, 4> row{};
  w.get("row").read(row.data());
  EXPECT_NE(row[0], 0.0F);
  wanted = false;
  EXPECT_EQ(code_of([&] { w.get("row").read(row.data()); }), ErrorCode::kAborted);
}

TEST(InputFile, IsARegularFile) {
  EXPECT_EQ(code_of([] { const InputFile folder("/tmp"); }), ErrorCode::kFile);
  EXPECT_EQ(code_of([] { const InputFile device("/dev/zero"); }), ErrorCode::kFile);
  const std::string pipe = std::filesystem::temp_directory_path() / ("dpm-pipe-" + std::to_string(getpid()));
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { const InputFile file(pipe); }), ErrorCode::kFile);
  std::filesystem::remove(pipe);
}

}  // namespace
}  // namespace dpm::test
