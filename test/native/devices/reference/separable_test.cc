// Test of the reference device's matrices of both axes and tables of positions against numbers found by hand, because
// all devices are compared with it.
#include <gtest/gtest.h>

#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using Values = std::vector<float>;

graph::Constant constant(const Values& values, std::vector<std::int64_t> dims) {
  return {values.data(), DType::kFloat32, std::move(dims), "given"};
}

/// Multiplies `image` of one channel, `height` x `width`, by a matrix on either axis.
Values separated(const Values& image, int height, int width, const Values& rows, const Values& columns) {
  RandomValues none(0);
  GraphMaker maker(none);
  graph::Node node = graph::make_node(DPM_OP_SEPARABLE, "separable", {maker.image(1, height, width)});
  const auto matrix = [&](const Values& values, int side) {
    const auto to = static_cast<std::int64_t>(values.size()) / side;
    return maker.graph().add_constant(constant(values, {to, side}));
  };
  node.weights = {matrix(rows, height), matrix(columns, width)};
  maker.output(maker.add(std::move(node)));
  return run_graph(Device::open("reference", {}), maker.graph(), 1, {image, {}, {}}, false);
}

TEST(Separable, IsAProductOnEitherSide) {
  EXPECT_EQ(separated({1, 2, 3, 4, 5, 6}, 2, 3, {1, 2, 3, 4, 5, 6}, {1, 0, 2, 0, -1, 0}),
            (Values{39, -12, 85, -26, 131, -40}));
}

TEST(Separable, PrependsTheMeanAndTakesATokenBack) {
  EXPECT_EQ(separated({1, 5}, 1, 2, {1}, {0.5F, 0.5F, 1, 0, 0, 1}), (Values{3, 1, 5}));
  EXPECT_EQ(separated({3, 1, 5}, 1, 3, {1}, {1, 0, 0}), Values{3});
}

TEST(Position, AddsItsTableToEverySample) {
  RandomValues none(0);
  GraphMaker maker(none);
  const Values table = {1, 2, 10, 20};
  graph::Node node = graph::make_node(DPM_OP_POSITION, "position", {maker.image(2, 1, 2)});
  node.biases = {maker.graph().add_constant(constant(table, {2, 2}))};
  maker.output(maker.add(std::move(node)));
  EXPECT_EQ(run_graph(Device::open("reference", {}), maker.graph(), 2, {{0, 0, 0, 0, 1, 1, 1, 1}, {}, {}}, false),
            (Values{1, 2, 10, 20, 2, 3, 11, 21}));
}

}  // namespace
}  // namespace dpm::test
