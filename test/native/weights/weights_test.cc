// Weights in files.
#include "weights/weights.h"

#include <gtest/gtest.h>

#include "core/error.h"
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
  EXPECT_EQ(code_of([&] { w.add({"huge", 0, DType::kFloat32, {1LL << 40, 1LL << 40}, 0, 4}); }),
            ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"odd", 0, DType::kFloat16, {3}, 0, 12}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"elsewhere", 1, DType::kFloat16, {3}, 0, 6}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add({"bias", 0, DType::kFloat32, {8}, 0, 32}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add_file("/nonexistent/weights"); }), ErrorCode::kFile);
  EXPECT_EQ(code_of([&] { (void)w.get("other"); }), ErrorCode::kTensorMissing);
}

}  // namespace
}  // namespace dpm::test
