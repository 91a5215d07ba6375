// Test of shape inference, fusion and the memory planner.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "core/error.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

int biased(GraphMaker& maker, int input, int outputs, int kernel) {
  return maker.bias(maker.convolution(input, outputs, same_size(kernel), 0.2F));
}

/// Makes a residual block with time, upsampling, attention and a scale: every pattern that the passes know.
Graph patterns(RandomValues& random, bool scale_shift, int blocks = 2) {
  GraphMaker maker(random);
  const int image = maker.image(3, 6, 10);
  const int embedding = maker.silu(maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{16, 1.0F}));
  int x = biased(maker, image, 24, 3);
  for (int block = 0; block < blocks; ++block) {
    int h = biased(maker, maker.silu(maker.norm(x, 8)), 24, 3);
    const int projection = biased(maker, embedding, scale_shift ? 48 : 24, 1);
    if (!scale_shift) h = maker.add(DPM_OP_CHANNEL_ADD, {h, projection});
    h = maker.norm(h, 6);
    if (scale_shift) h = maker.add(DPM_OP_SCALE_SHIFT, {h, projection});
    h = biased(maker, maker.silu(h), 24, 3);
    x = maker.affine(maker.sum(h, x), 0.7F);
  }
  const int normed = maker.norm(x, 8);
  const int query = biased(maker, normed, 24, 1);
  const int key = biased(maker, normed, 24, 1);
  const int value = biased(maker, normed, 24, 1);
  x = maker.sum(biased(maker, maker.attention(query, key, value, 2), 24, 1), x);
  x = biased(maker, maker.add(DPM_OP_UPSAMPLE, {x}), 24, 3);
  maker.output(biased(maker, x, 3, 3));
  return maker.graph();
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
    for (const Node& node : graph.nodes) found += node.op == op && node.input(input) >= 0 ? 1 : 0;
    return found;
  };
  Graph moved = patterns(random, false);
  graph::fuse(moved, [](const Graph&, const Node&) { return true; });
  EXPECT_EQ(count_vectors(moved, DPM_OP_CONVOLUTION, 1), 0);
  EXPECT_EQ(count_vectors(moved, DPM_OP_GROUP_NORM, 2), 2);
  Graph kept = patterns(random, false);
  graph::fuse(kept, [](const Graph&, const Node& node) { return node.op != DPM_OP_GROUP_NORM || node.input(2) < 0; });
  EXPECT_EQ(count_vectors(kept, DPM_OP_CONVOLUTION, 1), 2);
  EXPECT_EQ(count_vectors(kept, DPM_OP_GROUP_NORM, 2), 0);
}

TEST(FusionOfBiases, GoesToTheNormWhereTheDeviceAddsThemThere) {
  RandomValues random(3);
  const auto count_biases = [](const Graph& graph, bool before_norms) {
    int found = 0;
    for (const Node& node : graph.nodes) {
      if (node.op == DPM_OP_GROUP_NORM && before_norms) found += static_cast<int>(node.biases.size()) - 1;
      if (node.op == DPM_OP_CONVOLUTION && !before_norms) found += static_cast<int>(node.biases.size());
    }
    return found;
  };
  Graph moved = patterns(random, false);
  graph::fuse(moved, [](const Graph&, const Node&) { return true; });
  Graph kept = patterns(random, false);
  graph::fuse(kept,
              [](const Graph&, const Node& node) { return node.op != DPM_OP_GROUP_NORM || node.biases.size() == 1; });
  EXPECT_EQ(count_biases(kept, true), 0);
  EXPECT_EQ(count_biases(moved, true), 2);
  EXPECT_EQ(count_biases(moved, false), count_biases(kept, false) - 2);
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
  // Only the embedding's own SiLU remains, because two products share it.
  EXPECT_EQ(count(fused, DPM_OP_SILU), 1);
  // The convolutions are seven of 3x3, one product for both time projections, one for q, k and v, one for the
  // attention's output.
  EXPECT_EQ(count(fused, DPM_OP_CONVOLUTION), 6 + 1 + 1 + 1 + 1);

  GraphInputs inputs{random.normals(2 * 3 * 60), {17.0F, 900.5F}, {}};
  const auto expected = run_graph(Device::open("reference", {}), primitive, 2, inputs, false);
  EXPECT_LT(relative_difference(run_graph(device, primitive, 2, inputs, true), expected), 1e-5);
  EXPECT_LT(relative_difference(run_graph(device, primitive, 2, inputs, false), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(TimeModes, Fusion, testing::Bool());

TEST(Fusion, OneBlocksProjectionIsNoMap) {
  // The projection is not merged with others where there is one block; it must not be confused with the map that it is
  // added to.
  for (const bool scale_shift : {false, true}) {
    RandomValues random(9);
    const Graph primitive = patterns(random, scale_shift, 1);
    GraphInputs inputs{random.normals(3 * 60), {250.0F}, {}};
    const auto expected = run_graph(Device::open("reference", {}), primitive, 1, inputs, false);
    const auto actual = run_graph(Device::open("cpu", {1, true}), primitive, 1, inputs, true);
    EXPECT_LT(relative_difference(actual, expected), 1e-5);
  }
}

TEST(Fusion, SiblingsHaveABiasOrHaveNone) {
  RandomValues random(6);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(4, 4, 4));
  const auto product = [&](bool has_bias) {
    const int y = maker.convolution(x, 4, {});
    return has_bias ? maker.bias(y) : y;
  };
  const int with = maker.sum(maker.silu(product(true)), maker.silu(product(true)));
  const int without = maker.sum(maker.silu(product(false)), maker.silu(product(false)));
  maker.leave(maker.sum(with, without));
  graph::Graph graph = maker.graph();
  // A device without fused SiLU, so that the products stay as they are.
  const auto supports = [](const graph::Graph& /*graph*/, const graph::Node& node) {
    return node.op != DPM_OP_CONVOLUTION || !graph::attributes<graph::Convolution>(node).silu;
  };
  graph::fuse(graph, supports);
  std::vector<std::pair<std::size_t, std::size_t>> merged;
  for (const graph::Node& node : graph.nodes) {
    if (node.op == DPM_OP_CONVOLUTION) merged.emplace_back(node.weights.size(), node.biases.size());
  }
  EXPECT_EQ(merged, (std::vector<std::pair<std::size_t, std::size_t>>{{2, 2}, {2, 0}}));
}

TEST(Fusion, SiblingsHaveWeightsThatMoveOrThatStay) {
  RandomValues random(6);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(4, 4, 4));
  const auto product = [&] { return maker.silu(maker.convolution(x, 4, {})); };
  const int staying = maker.sum(product(), product());
  maker.leave(maker.sum(staying, maker.sum(product(), product())));
  graph::Graph graph = maker.graph();
  for (const std::size_t constant : {1, 2}) graph.constants[constant].parameter.kind = DPM_PARAMETER_PLAIN;
  graph::fuse(graph, [](const graph::Graph& /*graph*/, const graph::Node& node) {
    return node.op != DPM_OP_CONVOLUTION || !graph::attributes<graph::Convolution>(node).silu;
  });
  std::vector<std::vector<int>> merged;
  for (const graph::Node& node : graph.nodes) {
    if (node.op == DPM_OP_CONVOLUTION) merged.push_back(node.weights);
  }
  EXPECT_EQ(merged, (std::vector<std::vector<int>>{{0, 3}, {1, 2}}));
}

TEST(Fusion, ZerosBetweenElementsAreReadOverWhereADeviceCan) {
  RandomValues random(5);
  GraphMaker maker(random);
  const int zeros = maker.add(DPM_OP_ZERO_UPSAMPLE, {maker.enter(maker.image(8, 3, 5))});
  maker.leave(maker.convolution(zeros, 16, same_size(3)));
  const Graph primitive = maker.graph();
  for (const char* name : {"cpu", "reference", "cuda:0"}) {
    Graph fused = primitive;
    graph::fuse(fused, supports_of(*Device::open(name, {})));
    const bool reads_over = std::string(name) == "cuda:0";
    EXPECT_EQ(count(fused, DPM_OP_ZERO_UPSAMPLE), reads_over ? 0 : 1) << name;
    const auto has_zeros = [](const graph::Node& node) {
      return node.op == DPM_OP_CONVOLUTION && graph::attributes<graph::Convolution>(node).zero_upsample;
    };
    const auto node = std::find_if(fused.nodes.begin(), fused.nodes.end(), has_zeros);
    ASSERT_EQ(node != fused.nodes.end(), reads_over) << name;
    if (!reads_over) continue;
    EXPECT_EQ(graph::multiply_adds(fused, *node), std::uint64_t{3 * 5 * 8} * 16 * 9);
  }
}

TEST(Fusion, AConvolutionReadsOverOneEnlargement) {
  for (const auto& [first, second] :
       {std::pair{DPM_OP_ZERO_UPSAMPLE, DPM_OP_UPSAMPLE}, {DPM_OP_UPSAMPLE, DPM_OP_ZERO_UPSAMPLE}}) {
    RandomValues random(5);
    GraphMaker maker(random);
    const int large = maker.add(second, {maker.add(first, {maker.enter(maker.image(8, 3, 5))})});
    maker.leave(maker.convolution(large, 16, same_size(3)));
    Graph fused = maker.graph();
    graph::fuse(fused, [](const Graph&, const Node&) { return true; });
    EXPECT_EQ(count(fused, first), 1);
    EXPECT_EQ(count(fused, second), 0);
  }
}

TEST(Fusion, RespectsTheDevice) {
  RandomValues random(4);
  Graph graph = patterns(random, false);
  const std::size_t nodes = graph.nodes.size();
  graph::fuse(graph, [](const Graph&, const Node&) { return false; });
  EXPECT_EQ(graph.nodes.size(), nodes);
}

/// Checks that live ranges of values that share memory do not overlap, except where a result replaces the input that
/// dies there.
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
    for (const int output : node.outputs) touch(output);
  }
  for (std::size_t a = 0; a < live.size(); ++a) {
    for (std::size_t b = a + 1; b < live.size(); ++b) {
      const auto internal = [&](std::size_t v) {
        return !graph.values[v].is_bound() && graph.values[v].parent < 0 && live[v].first >= 0;
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
      const graph::MemoryPlan plan = graph::plan_memory(graph, {.residual_in_place = true});
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

TEST(Planner, ElementwiseResultsTakeThePlaceOfTheirInput) {
  using Make = std::function<int(GraphMaker&, int map, int vector)>;
  const auto in_place = [](const Make& make) {
    RandomValues random(1);
    GraphMaker maker(random);
    const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{8, 1.0F});
    const int map = maker.enter(maker.image(4, 3, 5));
    const int made = make(maker, map, vector);
    maker.leave(made);
    const graph::MemoryPlan plan = graph::plan_memory(maker.graph(), {});
    return plan.offsets[static_cast<std::size_t>(map)] == plan.offsets[static_cast<std::size_t>(made)];
  };
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.silu(map); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.bias(map); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.norm(map, 2); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.affine(map, 2); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.activation(map, DPM_ACTIVATION_RELU); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) { return maker.layer_norm(map); }));
  EXPECT_FALSE(in_place([](GraphMaker& maker, int map, int) { return maker.add(DPM_OP_GEGLU, {map}); }));
  EXPECT_TRUE(in_place([](GraphMaker& maker, int map, int) {
    return maker.add(DPM_OP_DROPOUT, {map, maker.whole_numbers(maker.label(), 2, 8, 256)}, graph::Dropout{0.5F});
  }));
  EXPECT_TRUE(
      in_place([](GraphMaker& maker, int map, int vector) { return maker.add(DPM_OP_SCALE_SHIFT, {map, vector}); }));
  // A sum of a map with itself, and a reader of neighbours, must not be in place.
  EXPECT_FALSE(in_place([](GraphMaker& maker, int map, int) { return maker.sum(map, map); }));
  EXPECT_FALSE(in_place([](GraphMaker& maker, int map, int) { return maker.convolution(map, 4, same_size(3)); }));
}

TEST(Shapes, MismatchesAreRefused) {
  RandomValues random(6);
  GraphMaker maker(random);
  const int image = maker.image(4, 5, 5);
  const int other = maker.graph().add_input("other", 6, 5, 5);
  const auto with = [&](dpm_op op, int input, int weight) {
    Node node = graph::make_node(op, "node", {input});
    node.weights = {weight};
    return node;
  };
  Node wide = with(DPM_OP_CONVOLUTION, image, maker.constant({8, 3, 3, 3}));
  graph::attributes<graph::Convolution>(wide) = same_size(3);
  expect_shape_error([&] { maker.add(wide); });
  Node biased = with(DPM_OP_CONVOLUTION, image, maker.constant({8, 4, 3, 3}));
  graph::attributes<graph::Convolution>(biased) = same_size(3);
  biased.biases = {maker.constant({7})};
  expect_shape_error([&] { maker.add(biased); });
  Node joined = graph::make_node(DPM_OP_CONVOLUTION, "node", {image, -1, other}, same_size(3));
  joined.weights = {maker.constant({4, 4, 3, 3})};
  expect_shape_error([&] { maker.add(joined); });
  expect_shape_error([&] { maker.sum(image, other); });
  expect_shape_error([&] { maker.add(DPM_OP_CHANNEL_ADD, {image, other}); });
  expect_shape_error([&] { maker.add(DPM_OP_AVERAGE_POOL, {image}); });
  expect_shape_error([&] { maker.add(DPM_OP_FIR_DOWNSAMPLE, {image}); });
  expect_shape_error([&] { maker.norm(image, 3); });
  Node norm = with(DPM_OP_GROUP_NORM, image, maker.constant({6}));
  norm.biases = {maker.constant({6})};
  graph::attributes<graph::GroupNorm>(norm).groups = 2;
  expect_shape_error([&] { maker.add(norm); });
  expect_shape_error([&] { maker.attention(image, image, image, 3); });
  expect_shape_error([&] { maker.silu(99); });
  expect_shape_error([&] { maker.image(1, 65536, 65536); });
  const int large = maker.graph().add_input("large", 1, 32768, 32768);
  expect_shape_error([&] { maker.add(DPM_OP_UPSAMPLE, {large}); });
  expect_shape_error([&] { maker.add(DPM_OP_FIR_UPSAMPLE, {large}); });
}

TEST(Shapes, OfTransformers) {
  RandomValues random(6);
  GraphMaker maker(random);
  const int map = maker.image(4, 5, 5);
  const int tokens = maker.graph().add_input("tokens", 4, 7, 1);
  const int narrow = maker.graph().add_input("narrow", 3, 7, 1);
  const int logits = maker.graph().add_input("logits", 7, 1, 1);
  const auto shape = [&](int value) {
    const graph::Value& made = maker.graph().values[static_cast<std::size_t>(value)];
    return std::tuple(made.channels, made.height, made.width);
  };
  const auto attend = [&](std::vector<int> inputs, bool causal = false) {
    return maker.add(DPM_OP_ATTENTION, std::move(inputs), graph::Attention{2, causal});
  };
  const auto resize = [&](int height, int width) {
    return maker.add(DPM_OP_UPSAMPLE, {map}, graph::Upsample{height, width});
  };
  EXPECT_EQ(shape(attend({map, tokens, tokens})), std::tuple(4, 5, 5));
  EXPECT_EQ(shape(attend({map, tokens, tokens, logits})), std::tuple(4, 5, 5));
  EXPECT_EQ(shape(attend({map, map, map}, true)), std::tuple(4, 5, 5));
  expect_shape_error([&] { attend({map, tokens, map}); });
  expect_shape_error([&] { attend({map, narrow, narrow}); });
  expect_shape_error([&] { attend({map, tokens, tokens, tokens}); });
  expect_shape_error([&] { attend({map, map, map, logits}); });
  expect_shape_error([&] { attend({map, tokens, tokens}, true); });
  EXPECT_EQ(graph::multiply_adds(maker.graph(), maker.graph().nodes.front()), 2U * 25 * 7 * 4);
  // What is handed back to queries, and to keys and values; to all three where these are of one map.
  const auto handed_back = [&](int keys) {
    const Node node = graph::make_node(DPM_OP_ATTENTION_BACKWARD, "node", {map, keys, keys, map}, graph::Attention{2});
    std::vector<std::tuple<int, int, int>> shapes;
    for (const graph::Value& made : graph::infer_shapes(maker.graph(), node)) {
      shapes.emplace_back(made.channels, made.height, made.width);
    }
    return shapes;
  };
  EXPECT_EQ(handed_back(tokens), (std::vector{std::tuple(4, 5, 5), std::tuple(8, 7, 1)}));
  EXPECT_EQ(handed_back(map), (std::vector{std::tuple(12, 5, 5)}));
  EXPECT_EQ(shape(maker.layer_norm(map)), std::tuple(4, 5, 5));
  EXPECT_EQ(shape(maker.add(DPM_OP_GEGLU, {map})), std::tuple(2, 5, 5));
  expect_shape_error([&] { maker.add(DPM_OP_GEGLU, {narrow}); });
  const int bytes = maker.whole_numbers(maker.label(), 2, 8, 256);
  EXPECT_EQ(shape(maker.add(DPM_OP_DROPOUT, {map, bytes}, graph::Dropout{0.5F})), std::tuple(4, 5, 5));
  expect_shape_error([&] { maker.add(DPM_OP_DROPOUT, {map, map}, graph::Dropout{0.5F}); });
  EXPECT_EQ(shape(resize(9, 0)), std::tuple(4, 9, 10));
  EXPECT_EQ(shape(resize(0, 3)), std::tuple(4, 10, 3));
  expect_shape_error([&] { resize(65537, 1); });
}

TEST(Shapes, MapsSmallerThanTheKernelAreRefused) {
  RandomValues random(6);
  // The quotient rounds up to one pixel with a stride of two.
  const graph::Convolution how{3, 2, 0, 0};
  for (const auto& [height, width] : {std::pair{2, 3}, {3, 2}, {2, 2}}) {
    GraphMaker maker(random);
    const int image = maker.image(4, height, width);
    expect_shape_error([&] { maker.convolution(image, 4, how); });
  }
  GraphMaker maker(random);
  EXPECT_NO_THROW(maker.convolution(maker.image(4, 3, 3), 4, how));
}

TEST(Shapes, ActivationsKeepTheirs) {
  RandomValues random(6);
  GraphMaker maker(random);
  const int image = maker.image(4, 5, 6);
  const graph::Value& made =
      maker.graph().values[static_cast<std::size_t>(maker.activation(image, DPM_ACTIVATION_GELU))];
  EXPECT_TRUE(made.same_shape(maker.graph().values[static_cast<std::size_t>(image)]));
}

TEST(Shapes, OfGradientsAreThoseOfWhatTheyAreOf) {
  RandomValues random(6);
  GraphMaker maker(random);
  const auto shape = [&](int value) {
    const graph::Value& made = maker.graph().values[static_cast<std::size_t>(value)];
    return std::vector<int>{made.channels, made.height, made.width, made.is_shared() ? 1 : 0};
  };
  const int x = maker.image(4, 5, 6);
  const graph::Convolution how{3, 2, 0, 1};
  const int d = maker.convolution(x, 7, how);
  EXPECT_EQ(shape(maker.add(DPM_OP_CONVOLUTION_WEIGHTS, {x, d}, how)), (std::vector{7, 4, 9, 1}));
  expect_shape_error([&] { maker.add(DPM_OP_CONVOLUTION_WEIGHTS, {x, x}, how); });
  expect_shape_error([&] { maker.add(DPM_OP_CONVOLUTION_WEIGHTS, {x, d}, graph::Convolution{7, 1, 0, 0}); });
  EXPECT_EQ(shape(maker.add(DPM_OP_ROW_SUM, {x})), (std::vector{4, 5, 6, 1}));
  const int vector = maker.time_vector(8);
  const int label = maker.label();
  EXPECT_EQ(shape(maker.add(DPM_OP_EMBEDDING_WEIGHTS, {label, vector}, graph::EmbeddingWeights{3})),
            (std::vector{3, 8, 1, 1}));
  expect_shape_error([&] { maker.add(DPM_OP_EMBEDDING_WEIGHTS, {label, x}, graph::EmbeddingWeights{3}); });

  Node norm = graph::make_node(DPM_OP_GROUP_NORM_BACKWARD, "norm", {x, x}, graph::GroupNorm{2});
  norm.weights = norm.biases = {maker.constant({4})};
  maker.add(norm);
  EXPECT_EQ(maker.graph().nodes.back().outputs.size(), 1U);
  graph::attributes<graph::GroupNorm>(norm).sums = true;
  EXPECT_EQ(shape(maker.add(norm)), (std::vector{4, 5, 6, 0}));
  const std::vector<int> outputs = maker.graph().nodes.back().outputs;
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(shape(outputs[1]), (std::vector{8, 1, 1, 0}));
  Node of_vector = graph::make_node(DPM_OP_GROUP_NORM_VECTOR, "vector", {outputs[1]});
  of_vector.weights = of_vector.biases = norm.weights;
  EXPECT_EQ(shape(maker.add(of_vector)), (std::vector{8, 1, 1, 0}));
  of_vector.inputs = {maker.time_vector(7)};
  expect_shape_error([&] { maker.add(of_vector); });

  EXPECT_EQ(shape(maker.add(DPM_OP_SQUARE_SCORE, {x, x, maker.time_vector(1)})), (std::vector{4, 5, 6, 0}));
  expect_shape_error([&] { maker.add(DPM_OP_SQUARE_SCORE, {x, d, maker.time_vector(1)}); });
  expect_shape_error([&] { maker.add(DPM_OP_SQUARE_SCORE, {x, x, vector}); });
  EXPECT_EQ(shape(maker.add(DPM_OP_SQUARE_SCORE, {x, x, maker.time_vector(1), x})), (std::vector{4, 5, 6, 0}));
  expect_shape_error([&] { maker.add(DPM_OP_SQUARE_SCORE, {x, x, maker.time_vector(1), d}); });
}

TEST(Nodes, HaveTheAttributesOfTheirOperationOnly) {
  Node node = graph::make_node(DPM_OP_ATTENTION, "look", {0, 1, 2});
  EXPECT_EQ(graph::attributes<graph::Attention>(node).heads, 1);
  EXPECT_EQ(code_of([&] { graph::attributes<graph::Convolution>(node); }), ErrorCode::kArgument);
  EXPECT_EQ(node.input(2), 2);
  EXPECT_EQ(node.input(3), -1);
  node.set_input(4, 7);
  EXPECT_EQ(node.input(3), -1);
  EXPECT_EQ(node.input(4), 7);
}

}  // namespace
}  // namespace dpm::test
