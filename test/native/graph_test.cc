// Shape inference, fusion and the memory planner.
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

Node make_node(dpm_op op, std::vector<int> inputs, const std::string& name = "node") {
  Node node;
  node.op = op;
  node.name = name;
  for (std::size_t i = 0; i < inputs.size(); ++i) node.inputs[i] = inputs[i];
  return node;
}

Node convolution(Graph& graph, RandomValues& random, int input, int from, int to, int kernel) {
  Node node = make_node(DPM_OP_CONVOLUTION, {input}, "conv");
  node.kernel = kernel;
  node.pad_before = node.pad_after = kernel / 2;
  node.weights = {graph.add_constant(random.constant({to, from, kernel, kernel}, 0.2F))};
  return node;
}

int with_bias(Graph& graph, RandomValues& random, Node node, int channels) {
  Node bias = make_node(DPM_OP_BIAS, {graph.add(std::move(node))}, "bias");
  bias.biases = {graph.add_constant(random.constant({channels}))};
  return graph.add(bias);
}

int norm(Graph& graph, RandomValues& random, int input, int channels, int groups) {
  Node node = make_node(DPM_OP_GROUP_NORM, {input}, "norm");
  node.groups = groups;
  node.epsilon = 1e-6F;
  node.weights = {graph.add_constant(random.constant({channels}, 0.2F, 1))};
  node.biases = {graph.add_constant(random.constant({channels}, 0.1F))};
  return graph.add(node);
}

/// A residual block with time, upsampling, attention and a scale: every pattern the passes know.
Graph patterns(RandomValues& random, bool scale_shift, int blocks = 2) {
  Graph graph;
  const int image = graph.add_input(DPM_ROLE_IMAGE, 3, 6, 10);
  const int time = graph.add_input(DPM_ROLE_TIME, 1, 1, 1);
  Node sinusoid = make_node(DPM_OP_TIME_EMBEDDING, {time});
  sinusoid.groups = 16;
  sinusoid.frequency_shift = 1;
  const int embedding = graph.add(make_node(DPM_OP_SILU, {graph.add(sinusoid)}));
  int x = with_bias(graph, random, convolution(graph, random, image, 3, 24, 3), 24);
  const int rows = scale_shift ? 48 : 24;
  for (int block = 0; block < blocks; ++block) {
    int h = graph.add(make_node(DPM_OP_SILU, {norm(graph, random, x, 24, 8)}));
    h = with_bias(graph, random, convolution(graph, random, h, 24, 24, 3), 24);
    const int projection = with_bias(graph, random, convolution(graph, random, embedding, 16, rows, 1), rows);
    if (!scale_shift) h = graph.add(make_node(DPM_OP_CHANNEL_ADD, {h, projection}));
    h = norm(graph, random, h, 24, 6);
    if (scale_shift) h = graph.add(make_node(DPM_OP_SCALE_SHIFT, {h, projection}));
    h = graph.add(make_node(DPM_OP_SILU, {h}));
    h = with_bias(graph, random, convolution(graph, random, h, 24, 24, 3), 24);
    Node scale = make_node(DPM_OP_AFFINE, {graph.add(make_node(DPM_OP_ADD, {h, x}))});
    scale.scale = 0.7F;
    x = graph.add(scale);
  }
  const int normed = norm(graph, random, x, 24, 8);
  Node attend = make_node(DPM_OP_ATTENTION, {});
  for (int i = 0; i < 3; ++i) {
    attend.inputs[static_cast<std::size_t>(i)] =
        with_bias(graph, random, convolution(graph, random, normed, 24, 24, 1), 24);
  }
  attend.heads = 2;
  const int projected = with_bias(graph, random, convolution(graph, random, graph.add(attend), 24, 24, 1), 24);
  x = graph.add(make_node(DPM_OP_ADD, {projected, x}));
  x = with_bias(graph, random, convolution(graph, random, graph.add(make_node(DPM_OP_UPSAMPLE, {x})), 24, 24, 3), 24);
  const int out = with_bias(graph, random, convolution(graph, random, x, 24, 3, 3), 3);
  graph.values[static_cast<std::size_t>(out)].role = DPM_ROLE_OUTPUT;
  return graph;
}

int count(const Graph& graph, dpm_op op) {
  int found = 0;
  for (const Node& node : graph.nodes) found += node.op == op ? 1 : 0;
  return found;
}

TEST(FusionOfVectors, GoesToTheNormWhereTheDeviceAddsThemThere) {
  RandomValues random(3);
  const auto count_vectors = [](const Graph& graph, dpm_op op, std::size_t input) {
    int found = 0;
    for (const Node& node : graph.nodes) found += node.op == op && node.inputs[input] >= 0 ? 1 : 0;
    return found;
  };
  Graph moved = patterns(random, false);
  graph::fuse(moved, [](const Graph&, const Node&) { return true; });
  EXPECT_EQ(count_vectors(moved, DPM_OP_CONVOLUTION, 1), 0);
  EXPECT_EQ(count_vectors(moved, DPM_OP_GROUP_NORM, 2), 2);
  Graph kept = patterns(random, false);
  graph::fuse(kept, [](const Graph&, const Node& node) { return node.op != DPM_OP_GROUP_NORM || node.inputs[2] < 0; });
  EXPECT_EQ(count_vectors(kept, DPM_OP_CONVOLUTION, 1), 2);
  EXPECT_EQ(count_vectors(kept, DPM_OP_GROUP_NORM, 2), 0);
}

class Fusion : public testing::TestWithParam<bool> {};

TEST_P(Fusion, LeavesNoPatternAndKeepsTheResult) {
  RandomValues random(3);
  const Graph primitive = patterns(random, GetParam());
  const auto device = Device::open("cpu", {2, true});
  Graph fused = primitive;
  graph::fuse(fused, supports_of(*device));
  EXPECT_EQ(count(fused, DPM_OP_BIAS), 0);
  EXPECT_EQ(count(fused, DPM_OP_CHANNEL_ADD), 0);
  EXPECT_EQ(count(fused, DPM_OP_SCALE_SHIFT), 0);
  EXPECT_EQ(count(fused, DPM_OP_ADD), 0);
  EXPECT_EQ(count(fused, DPM_OP_AFFINE), 0);
  EXPECT_EQ(count(fused, DPM_OP_UPSAMPLE), 0);
  EXPECT_EQ(count(fused, DPM_OP_CONCAT), 0);
  // Only the embedding's own SiLU is left: two products share it.
  EXPECT_EQ(count(fused, DPM_OP_SILU), 1);
  // Seven 3x3, one product for both time projections, one for q, k and v, one for the attention's output.
  EXPECT_EQ(count(fused, DPM_OP_CONVOLUTION), 6 + 1 + 1 + 1 + 1);

  GraphInputs inputs{random.normals(2 * 3 * 60), {17.0F, 900.5F}, {}};
  const auto expected = run_graph(Device::open("reference", {}), primitive, 2, inputs, false);
  EXPECT_LT(relative_difference(run_graph(device, primitive, 2, inputs, true), expected), 1e-5);
  EXPECT_LT(relative_difference(run_graph(device, primitive, 2, inputs, false), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(TimeModes, Fusion, testing::Bool());

TEST(Fusion, OneBlocksProjectionIsNoMap) {
  // With one block the projection is not merged with others; it must not be taken for the map it is added to.
  for (const bool scale_shift : {false, true}) {
    RandomValues random(9);
    const Graph primitive = patterns(random, scale_shift, 1);
    GraphInputs inputs{random.normals(3 * 60), {250.0F}, {}};
    const auto expected = run_graph(Device::open("reference", {}), primitive, 1, inputs, false);
    const auto actual = run_graph(Device::open("cpu", {1, true}), primitive, 1, inputs, true);
    EXPECT_LT(relative_difference(actual, expected), 1e-5);
  }
}

TEST(Fusion, RespectsTheDevice) {
  RandomValues random(4);
  Graph graph = patterns(random, false);
  const std::size_t nodes = graph.nodes.size();
  graph::fuse(graph, [](const Graph&, const Node&) { return false; });
  EXPECT_EQ(graph.nodes.size(), nodes);
}

/// Live ranges of values that share memory must not overlap, save where a result replaces the input that dies there.
void expect_no_overlap(const Graph& graph, const graph::MemoryPlan& plan) {
  struct Range {
    int first = -1;
    int last = -1;
  };
  std::vector<Range> live(graph.values.size());
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(i)];
    const auto touch = [&](int value) {
      if (value < 0) return;
      Range& range = live[static_cast<std::size_t>(graph.root(value))];
      if (range.first < 0) range.first = i;
      range.last = i;
    };
    for (const int input : node.inputs) touch(input);
    touch(node.output);
  }
  for (std::size_t a = 0; a < live.size(); ++a) {
    for (std::size_t b = a + 1; b < live.size(); ++b) {
      const auto internal = [&](std::size_t v) {
        return graph.values[v].role == DPM_ROLE_INTERNAL && graph.values[v].parent < 0 && live[v].first >= 0;
      };
      if (!internal(a) || !internal(b)) continue;
      const bool in_place = live[a].last == live[b].first && plan.offsets[a] == plan.offsets[b];
      const bool in_place_back = live[b].last == live[a].first && plan.offsets[a] == plan.offsets[b];
      if (live[a].last < live[b].first || live[b].last < live[a].first || in_place || in_place_back) continue;
      const bool apart = plan.offsets[a] + graph.values[a].elements() <= plan.offsets[b] ||
                         plan.offsets[b] + graph.values[b].elements() <= plan.offsets[a];
      EXPECT_TRUE(apart) << "values " << a << " and " << b;
    }
  }
}

TEST(Planner, LiveValuesDoNotOverlap) {
  const auto device = Device::open("cpu", {1, false});
  for (const bool scale_shift : {false, true}) {
    for (const bool fused : {false, true}) {
      RandomValues random(5);
      Graph graph = patterns(random, scale_shift);
      if (fused) graph::fuse(graph, supports_of(*device));
      const graph::MemoryPlan plan = graph::plan_memory(graph, true);
      expect_no_overlap(graph, plan);
      std::uint64_t sum = 0;
      for (const graph::Value& value : graph.values) sum += value.elements();
      EXPECT_LT(plan.elements, sum / 2) << "memory is reused";
    }
  }
}

void expect_shape_error(const std::function<void()>& body) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kTensorShape) << error.what();
  }
}

TEST(Shapes, MismatchesAreRefused) {
  RandomValues random(6);
  Graph graph;
  const int image = graph.add_input(DPM_ROLE_IMAGE, 4, 5, 5);
  const int other = graph.add_input(DPM_ROLE_IMAGE, 6, 5, 5);
  expect_shape_error([&] { graph.add(convolution(graph, random, image, 3, 8, 3)); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_ADD, {image, other})); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_CHANNEL_ADD, {image, other})); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_AVERAGE_POOL, {image})); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_FIR_DOWNSAMPLE, {image})); });
  expect_shape_error([&] { norm(graph, random, image, 4, 3); });
  expect_shape_error([&] { norm(graph, random, image, 6, 2); });
  Node attend = make_node(DPM_OP_ATTENTION, {image, image, image});
  attend.heads = 3;
  expect_shape_error([&] { graph.add(attend); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_SILU, {99})); });
  expect_shape_error([&] { graph.add_input(DPM_ROLE_IMAGE, 1, 65536, 65536); });
  const int large = graph.add_input(DPM_ROLE_IMAGE, 1, 32768, 32768);
  expect_shape_error([&] { graph.add(make_node(DPM_OP_UPSAMPLE, {large})); });
  expect_shape_error([&] { graph.add(make_node(DPM_OP_FIR_UPSAMPLE, {large})); });
}

}  // namespace
}  // namespace dpm::test
