// Test of the memory plan: a node reads what was written to its inputs, whatever was placed in memory meanwhile.
#include "graph/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "graph_runner.h"
#include "random_graph.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

/// An arena that runs a graph on names of values in place of numbers: every place holds the value that was written
/// there last.
class Arena {
 public:
  Arena(const Graph& graph, const graph::MemoryPlan& plan, const graph::PlacementRules& rules)
      : graph_(graph), plan_(plan), rules_(rules), held_(plan.elements, -1) {}

  void run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      for (const int input : node.inputs) {
        expect_held(node, input);
        expect_held_for(input, i);
      }
      for (const int output : node.outputs) write(node, output);
      // A norm that completes a sum writes before it has read everything.
      if (rules_.norms_complete_sums && i > 0) expect_held_for_completion(graph_.nodes[i - 1], node);
    }
  }

 private:
  /// Expects the inputs of a late node to be intact when `reader` reads its result `value`. A late node runs beside
  /// others, or is computed by its reader.
  void expect_held_for(int value, std::size_t reader) const {
    if (value < 0) return;
    for (std::size_t i = 0; i < reader; ++i) {
      const Node& node = graph_.nodes[i];
      const bool is_late = node.op == DPM_OP_CONVOLUTION ? graph::attributes<graph::Convolution>(node).beside
                                                         : node.op == DPM_OP_GROUP_NORM && rules_.norms_are_joined;
      if (!is_late || graph_.root(node.output()) != graph_.root(value)) continue;
      for (const int input : node.inputs) {
        expect_held(node, input);
        expect_held_for(input, i);
      }
    }
  }

  void expect_held_for_completion(const Node& before, const Node& norm) const {
    if (before.op != DPM_OP_CONVOLUTION || norm.op != DPM_OP_GROUP_NORM || norm.input(0) != before.output()) return;
    for (const std::size_t k : {1, 2}) expect_held(norm, before.input(k));
  }

  /// Returns the value whose place `value` shares, -1 for none and for tensors of the caller.
  [[nodiscard]] int placed(int value) const {
    const int root = value < 0 ? -1 : graph_.root(value);
    return root < 0 || graph_.values[static_cast<std::size_t>(root)].is_bound() ? -1 : root;
  }
  [[nodiscard]] std::ptrdiff_t begin(int root) const {
    return static_cast<std::ptrdiff_t>(plan_.offsets[static_cast<std::size_t>(root)]);
  }
  [[nodiscard]] std::ptrdiff_t end(int root) const {
    return begin(root) + static_cast<std::ptrdiff_t>(graph_.values[static_cast<std::size_t>(root)].elements());
  }

  void expect_held(const Node& node, int input) const {
    const int root = placed(input);
    if (root < 0) return;
    const auto is_there = [root](int value) { return value == root; };
    EXPECT_TRUE(std::all_of(held_.begin() + begin(root), held_.begin() + end(root), is_there))
        << node.name << " reads value " << input << ", which is not there any more";
  }

  void write(const Node& node, int output) {
    const int root = placed(output);
    if (root < 0) return;
    ASSERT_LE(static_cast<std::size_t>(end(root)), held_.size()) << node.name;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const int input = placed(node.inputs[k]);
      if (input < 0 || input == root || end(input) <= begin(root) || end(root) <= begin(input)) continue;
      EXPECT_TRUE(may_replace(node, k, output)) << node.name << " overwrites its input " << k;
    }
    std::fill(held_.begin() + begin(root), held_.begin() + end(root), root);
  }

  /// Returns whether the output may take the place of input `k`: every element is read before the same one is written.
  [[nodiscard]] bool may_replace(const Node& node, std::size_t k, int output) const {
    const int input = node.inputs[k];
    const bool in_step =
        node.op == DPM_OP_CONVOLUTION ? rules_.residual_in_place && k == 2 : k == 0 && is_elementwise(node);
    return in_step && std::count(node.inputs.begin(), node.inputs.end(), input) == 1 && placed(input) == input &&
           placed(output) == output && begin(input) == begin(output) &&
           graph_.values[static_cast<std::size_t>(input)].same_shape(graph_.values[static_cast<std::size_t>(output)]);
  }

  /// Group norm reads everything before it writes, so it counts as elementwise.
  static bool is_elementwise(const Node& node) {
    constexpr dpm_op kOperations[] = {DPM_OP_POSITION,    DPM_OP_GROUP_NORM, DPM_OP_BIAS,       DPM_OP_CHANNEL_ADD,
                                      DPM_OP_SCALE_SHIFT, DPM_OP_SILU,       DPM_OP_ACTIVATION, DPM_OP_AFFINE,
                                      DPM_OP_ADD,         DPM_OP_LAYER_NORM, DPM_OP_DROPOUT};
    return std::find(std::begin(kOperations), std::end(kOperations), node.op) != std::end(kOperations);
  }

  const Graph& graph_;
  const graph::MemoryPlan& plan_;
  graph::PlacementRules rules_;
  std::vector<int> held_;
};

void expect_safe(const Graph& graph) {
  for (const unsigned rule : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
    const graph::PlacementRules rules{(rule & 1U) != 0, (rule & 2U) != 0, (rule & 4U) != 0};
    const graph::MemoryPlan plan = graph::plan_memory(graph, rules);
    for (const std::uint64_t offset : plan.offsets) EXPECT_EQ(offset % 16, 0U) << "a cache line begins elsewhere";
    Arena(graph, plan, rules).run();
  }
}

Graph random_graph(std::uint32_t seed, RandomGraph::Kind kind) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return RandomGraph([generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); }, kind)
      .graph();
}

/// Plans random graphs before and after fusion for a device; returns the number of convolutions that run beside others.
int check_random_graphs(const char* name, RandomGraph::Kind kind) {
  int beside = 0;
  const auto device = Device::open(name, {1, false});
  for (std::uint32_t seed = 0; seed < 3000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Graph graph = random_graph(seed, kind);
    expect_safe(graph);
    graph::fuse(graph, supports_of(*device));
    expect_safe(graph);
    beside += static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
      return node.op == DPM_OP_CONVOLUTION && graph::attributes<graph::Convolution>(node).beside;
    }));
  }
  return beside;
}

TEST(Planner, NothingIsOverwrittenBeforeItsLastReader) {
  // The CPU device joins norms, the CUDA device runs shortcuts beside their blocks.
  int beside = 0;
  for (const char* name : {"cpu", "cuda:0"}) {
    for (const RandomGraph::Kind kind : {RandomGraph::kDifferentiable, RandomGraph::kAnyOperation}) {
      beside += check_random_graphs(name, kind);
    }
  }
  EXPECT_GT(beside, 0);
}

/// A block norm -> convolution -> norm -> convolution + shortcut, like a block of a U-Net that changes its channels.
struct Block {
  explicit Block(RandomValues& random) : maker(random) {
    const int x = maker.enter(maker.image(4, 8, 8));
    const int first = maker.convolution(maker.norm(x, 2, 1e-6F), 6, same_size(3));
    // The last of a sum's convolutions takes the other as its residual.
    const int shortcut = maker.convolution(x, 6, same_size(1));
    const int second = maker.convolution(maker.norm(first, 2, 1e-6F), 6, same_size(3));
    maker.leave(maker.sum(second, shortcut));
  }
  GraphMaker maker;
};

TEST(Planner, AShortcutRunsBesideItsBlock) {
  RandomValues random(1);
  Block block(random);
  Graph& graph = block.maker.graph();
  const std::size_t nodes = graph.nodes.size();
  graph::fuse(graph, supports_of(*Device::open("cuda:0", {})));
  ASSERT_LT(graph.nodes.size(), nodes);
  const auto is_beside = [](const Node& node) {
    return node.op == DPM_OP_CONVOLUTION && graph::attributes<graph::Convolution>(node).beside;
  };
  const auto shortcut = std::find_if(graph.nodes.begin(), graph.nodes.end(), is_beside);
  ASSERT_NE(shortcut, graph.nodes.end());
  EXPECT_EQ(std::count_if(graph.nodes.begin(), graph.nodes.end(), is_beside), 1);
  EXPECT_EQ(std::next(shortcut)->op, DPM_OP_GROUP_NORM) << "the first of the block";
  const auto reader = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const Node& node) { return node.input(2) == shortcut->output(); });
  EXPECT_EQ(reader - shortcut, 4);
  expect_safe(graph);
  // The pass asks the device, which here refuses.
  Block other(random);
  graph::fuse(other.maker.graph(), [&](const Graph& g, const Node& node) {
    return !is_beside(node) && supports_of(*Device::open("cuda:0", {}))(g, node);
  });
  EXPECT_EQ(std::count_if(other.maker.graph().nodes.begin(), other.maker.graph().nodes.end(), is_beside), 0);
}

TEST(Planner, WhatAJoinedNormReadsIsKeptForItsReader) {
  RandomValues random(1);
  Block block(random);
  const Graph& graph = block.maker.graph();
  const graph::MemoryPlan apart = graph::plan_memory(graph, {});
  const graph::MemoryPlan joined = graph::plan_memory(graph, {.norms_are_joined = true});
  int in_place = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != DPM_OP_GROUP_NORM) continue;
    const auto same = [&](const graph::MemoryPlan& plan) {
      return plan.offsets[static_cast<std::size_t>(node.input(0))] ==
             plan.offsets[static_cast<std::size_t>(node.output())];
    };
    in_place += same(apart) ? 1 : 0;
    EXPECT_FALSE(same(joined)) << node.name;
  }
  EXPECT_GT(in_place, 0);
}

/// Makes a convolution of a map, with a residual, neither of which is read later, and the norm of its result, which has
/// another reader, too.
Graph sum_and_norm(GraphMaker& maker) {
  const int image = maker.image(4, 8, 8);
  const int x = maker.enter(image);
  Node sum = graph::make_node(DPM_OP_CONVOLUTION, "sum", {x, -1, maker.enter(image)}, same_size(3));
  sum.weights = {maker.constant({4, 4, 3, 3})};
  const int added = maker.add(std::move(sum));
  maker.leave(maker.sum(maker.norm(added, 2), added));
  return maker.graph();
}

TEST(Planner, WhatACompletedSumReadsIsKeptForItsNorm) {
  RandomValues random(1);
  GraphMaker maker(random);
  const Graph graph = sum_and_norm(maker);
  const auto sum =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.name == "sum"; });
  const auto place = [](const graph::MemoryPlan& plan, int value) {
    return plan.offsets[static_cast<std::size_t>(value)];
  };
  const int normed = std::next(sum)->output();
  const graph::MemoryPlan apart = graph::plan_memory(graph, {});
  const graph::MemoryPlan completed = graph::plan_memory(graph, {.norms_complete_sums = true});
  // The norm's result takes the place of the residual or of the convolution's map, which have its size.
  EXPECT_TRUE(place(apart, normed) == place(apart, sum->input(2)) ||
              place(apart, normed) == place(apart, sum->input(0)));
  EXPECT_NE(place(completed, normed), place(completed, sum->input(2)));
  EXPECT_EQ(place(completed, normed), place(completed, sum->input(0)));
  expect_safe(graph);
}

TEST(Planner, AnInputThatIsReadTwiceIsNotReplaced) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int image = maker.enter(maker.image(4, 5, 5));
  const int doubled = maker.sum(image, image);
  maker.leave(doubled);
  const graph::MemoryPlan plan = graph::plan_memory(maker.graph(), {.residual_in_place = true});
  EXPECT_NE(plan.offsets[static_cast<std::size_t>(doubled)], plan.offsets[static_cast<std::size_t>(image)]);
}

TEST(Planner, AnInputThatIsReadThroughAViewAsWellIsNotReplaced) {
  RandomValues random(1);
  GraphMaker maker(random);
  // The map has a single row of pixels, so that a view of it is a map of the same shape.
  const int x = maker.enter(maker.image(8, 1, 6));
  Node sum = graph::make_node(DPM_OP_CONVOLUTION, "sum", {maker.view(x, 1, 6), -1, x}, same_size(3));
  sum.weights = {maker.constant({8, 8, 3, 3})};
  const int added = maker.add(std::move(sum));
  maker.leave(added);
  Graph graph = maker.graph();
  graph::fuse(graph, supports_of(*Device::open("cpu", {1, false})));
  ASSERT_EQ(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == DPM_OP_VIEW; }),
      0);
  const graph::MemoryPlan plan = graph::plan_memory(graph, {.residual_in_place = true});
  EXPECT_NE(plan.offsets[static_cast<std::size_t>(added)], plan.offsets[static_cast<std::size_t>(x)]);
  expect_safe(graph);
}

TEST(Planner, WhatDiesMakesPlaceForTheNext) {
  RandomValues random(1);
  GraphMaker maker(random);
  int map = maker.enter(maker.image(4, 8, 8));
  for (int i = 0; i < 5; ++i) map = maker.convolution(map, 4, same_size(3));
  maker.leave(map);
  EXPECT_EQ(graph::plan_memory(maker.graph(), {.residual_in_place = true}).elements, 2 * 4 * 8 * 8U);
}

TEST(Planner, AResultTakesThePlaceOfAnInputThatDies) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int first = maker.enter(maker.image(4, 5, 5));
  const int second = maker.silu(first);
  const int third = maker.silu(second);
  maker.leave(maker.sum(third, second));
  const graph::MemoryPlan plan = graph::plan_memory(maker.graph(), {.residual_in_place = true});
  const auto place = [&](int value) { return plan.offsets[static_cast<std::size_t>(value)]; };
  EXPECT_EQ(place(second), place(first));
  EXPECT_NE(place(third), place(second));
}

}  // namespace
}  // namespace dpm::test
