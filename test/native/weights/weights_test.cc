// Weights in files, and networks that lack some.
#include "weights/weights.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

TEST(Weights, AreChecked) {
  SmallNetwork small;
  Weights w = small.weights();
  EXPECT_EQ(code_of([&] { w.add({"far", 0, DType::kFloat32, {100}, 80000 - 396, 400}); }), ErrorCode::kFileTruncated);
  EXPECT_EQ(code_of([&] { w.add({"huge", 0, DType::kFloat32, {1LL << 40, 1LL << 40}, 0, 4}); }),
            ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"odd", 0, DType::kFloat16, {3}, 0, 12}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"elsewhere", 1, DType::kFloat16, {3}, 0, 6}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add({"conv_in.bias", 0, DType::kFloat32, {8}, 0, 32}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add_file("/nonexistent/weights"); }), ErrorCode::kFile);
  Weights empty;
  const auto device = Device::open("cpu", {1, false});
  EXPECT_EQ(code_of([&] { Network(device, SmallNetwork::description(), empty); }), ErrorCode::kTensorMissing);
  unet::Description wrong = SmallNetwork::description();
  wrong.blocks.pop_back();
  wrong.blocks.pop_back();
  EXPECT_EQ(code_of([&] { Network(device, wrong, w); }), ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
