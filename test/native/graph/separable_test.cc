// Test of matrices of both axes and tables of positions in graphs: their shapes and their places.
#include <gtest/gtest.h>

#include <utility>

#include "engine/network.h"
#include "graph/planner.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

TEST(SeparableShapes, FollowTheMatrices) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int x = maker.separable(maker.image(2, 3, 4), 5, 1);
  EXPECT_TRUE(maker.graph().values[static_cast<std::size_t>(x)].same_shape({2, 5, 1}));
}

TEST(SeparableShapes, ThatDoNotFitAreRefused) {
  const auto code = [](dpm_op op, std::vector<std::vector<std::int64_t>> weights,
                       std::vector<std::vector<std::int64_t>> biases) {
    RandomValues random(1);
    GraphMaker maker(random);
    graph::Node node = graph::make_node(op, "node", {maker.image(2, 3, 4)});
    for (auto& dims : weights) node.weights.push_back(maker.constant(std::move(dims)));
    for (auto& dims : biases) node.biases.push_back(maker.constant(std::move(dims)));
    return code_of([&] { maker.add(std::move(node)); });
  };
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{5, 3}, {6, 4}}, {}), ErrorCode::kOk);
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{5, 4}, {6, 4}}, {}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{5, 3}, {6, 3}}, {}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{15}, {6, 4}}, {}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{65537, 3}, {6, 4}}, {}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_SEPARABLE, {{0, 3}, {6, 4}}, {}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_POSITION, {}, {{2, 12}}), ErrorCode::kOk);
  EXPECT_EQ(code(DPM_OP_POSITION, {}, {{2, 3, 4}}), ErrorCode::kTensorShape);
  EXPECT_EQ(code(DPM_OP_POSITION, {}, {{2, 11}}), ErrorCode::kTensorShape);
}

TEST(SeparableShapes, AreNotCutToAnInteger) {
  RandomValues random(1);
  GraphMaker maker(random);
  graph::Node node = graph::make_node(DPM_OP_SEPARABLE, "node", {maker.image(2, 3, 4)});
  const std::int64_t rows = (std::int64_t{1} << 32) + 5;
  node.weights = {maker.graph().add_constant({nullptr, DType::kFloat32, {rows, 3}, "long"}), maker.constant({6, 4})};
  EXPECT_EQ(code_of([&] { maker.add(std::move(node)); }), ErrorCode::kTensorShape);
}

TEST(Separable, IsRefusedWhereADeviceCannotRunIt) {
  RandomValues random(1);
  GraphMaker of_image(random);
  of_image.leave(of_image.separable(of_image.image(2, 3, 4), 5, 6));
  GraphMaker of_map(random);
  of_map.leave(of_map.separable(of_map.enter(of_map.image(2, 3, 4)), 5, 6));
  GraphMaker placed(random);
  placed.leave(placed.position(placed.enter(placed.image(2, 3, 4))));
  const auto code = [](const char* device, const GraphMaker& maker) {
    return code_of([&] { const Network network(Device::open(device, {}), maker.graph(), {}); });
  };
  // The network's own input has another layout.
  EXPECT_EQ(code("cpu", of_image), ErrorCode::kUnsupported);
  EXPECT_EQ(code("reference", of_image), ErrorCode::kOk);
  for (const auto* maker : {&of_map, &placed}) EXPECT_EQ(code("cpu", *maker), ErrorCode::kOk);
}

TEST(Position, TakesThePlaceOfItsMap) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(16, 2, 2));
  const int y = maker.position(x);
  maker.leave(maker.separable(y, 3, 3));
  const graph::MemoryPlan plan = graph::plan_memory(maker.graph(), {});
  EXPECT_EQ(plan.offsets[static_cast<std::size_t>(x)], plan.offsets[static_cast<std::size_t>(y)]);
}

TEST(View, ThatNobodyReadsStays) {
  RandomValues random(3);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(3, 2, 2));
  maker.view(x, 2, 2);
  maker.leave(x);
  const auto reference = Device::open("reference", {});
  EXPECT_EQ(run_graph(reference, maker.graph(), 1, {std::vector<float>(12, 1), {}, {}}, true),
            std::vector<float>(12, 1.5F));
}

}  // namespace
}  // namespace dpm::test
