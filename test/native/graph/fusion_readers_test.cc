// Test that a value with another reader is not folded away together with the node that writes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using graph::Graph;
using graph::Node;

constexpr int kChannels = 8;

/// Operands: a map, a vector of one number per channel, and a scale and a shift per channel.
struct Operands {
  int map;
  int vector;
  int pair;
};

using Write = std::function<int(GraphMaker&, const Operands&)>;
using Continue = std::function<int(GraphMaker&, int value, const Operands&)>;

/// A value and an operation that could be folded into the node that writes it, or the other way round.
struct Fold {
  const char* name;
  Write write;
  Continue read;
};

int convolved(GraphMaker& maker, const Operands& o) { return maker.convolution(o.map, kChannels, same_size(3)); }
int normed(GraphMaker& maker, const Operands& o) { return maker.norm(o.map, 4); }

const std::vector<Fold>& folds() {
  static const std::vector<Fold> all = {
      {"BiasIntoConvolution", convolved, [](GraphMaker& m, int x, const Operands&) { return m.bias(x); }},
      {"VectorIntoConvolution", convolved,
       [](GraphMaker& m, int x, const Operands& o) { return m.add(DPM_OP_CHANNEL_ADD, {x, o.vector}); }},
      {"SumIntoConvolution", convolved, [](GraphMaker& m, int x, const Operands& o) { return m.sum(x, o.map); }},
      {"SumFromTheRightIntoConvolution", convolved,
       [](GraphMaker& m, int x, const Operands& o) { return m.sum(o.map, x); }},
      {"ScaleIntoConvolution", convolved, [](GraphMaker& m, int x, const Operands&) { return m.affine(x, 0.5F); }},
      {"SiluIntoConvolution", convolved, [](GraphMaker& m, int x, const Operands&) { return m.silu(x); }},
      {"ScaleShiftIntoNorm", normed,
       [](GraphMaker& m, int x, const Operands& o) { return m.add(DPM_OP_SCALE_SHIFT, {x, o.pair}); }},
      {"SiluIntoNorm", normed, [](GraphMaker& m, int x, const Operands&) { return m.silu(x); }},
      {"UpsamplingIntoConvolution", [](GraphMaker& m, const Operands& o) { return m.add(DPM_OP_UPSAMPLE, {o.map}); },
       [](GraphMaker& m, int x, const Operands&) { return m.convolution(x, kChannels, same_size(3)); }},
      {"ZerosIntoConvolution", [](GraphMaker& m, const Operands& o) { return m.add(DPM_OP_ZERO_UPSAMPLE, {o.map}); },
       [](GraphMaker& m, int x, const Operands&) { return m.convolution(x, kChannels, same_size(3)); }},
      {"VectorIntoNorm",
       [](GraphMaker& m, const Operands& o) { return m.add(DPM_OP_CHANNEL_ADD, {convolved(m, o), o.vector}); },
       [](GraphMaker& m, int x, const Operands&) { return m.norm(x, 4); }},
  };
  return all;
}

Operands add_operands(GraphMaker& maker) {
  const int map = maker.enter(maker.image(kChannels, 6, 4));
  const int pair = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{2 * kChannels});
  return {map, maker.convolution(pair, kChannels, same_size(1)), pair};
}

/// Makes the value's continuation, a second reader before or behind it, and the sum of both.
Graph with_second_reader(const Fold& fold, RandomValues& random, bool before) {
  GraphMaker maker(random);
  const Operands operands = add_operands(maker);
  const int value = fold.write(maker, operands);
  // The reader is not folded into another node by any device.
  const int early = before ? maker.activation(value, DPM_ACTIVATION_MISH) : -1;
  const int read = fold.read(maker, value, operands);
  const int late = before ? early : maker.activation(value, DPM_ACTIVATION_MISH);
  maker.leave(maker.sum(read, late));
  return maker.graph();
}

/// Expects every value that is read to have been written, whole or in parts.
void expect_complete(const Graph& graph) {
  const auto is_written = [&](int value, std::size_t until) {
    if (graph.values[static_cast<std::size_t>(value)].is_bound()) return true;
    return std::any_of(
        graph.nodes.begin(), graph.nodes.begin() + static_cast<std::ptrdiff_t>(until), [&](const Node& node) {
          return std::any_of(node.outputs.begin(), node.outputs.end(),
                             [&](int output) { return output == value || graph.root(output) == graph.root(value); });
        });
  };
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const int input : graph.nodes[i].inputs) {
      EXPECT_TRUE(input < 0 || is_written(input, i)) << graph.nodes[i].name << " reads value " << input;
    }
  }
}

class SecondReader : public testing::TestWithParam<std::size_t> {
 protected:
  [[nodiscard]] static const Fold& fold() { return folds()[GetParam()]; }
};

TEST_P(SecondReader, KeepsAValue) {
  for (const bool before : {false, true}) {
    RandomValues random(6);
    const Graph primitive = with_second_reader(fold(), random, before);
    Graph fused = primitive;
    graph::fuse(fused, [](const Graph&, const Node&) { return true; });
    expect_complete(fused);
    if (HasFailure()) return;
    const GraphInputs inputs{random.normals(2 * primitive.values[0].elements()), {17.0F, 900.0F}, {}};
    const auto expected = run_graph(Device::open("reference", {}), primitive, 2, inputs, false);
    for (const char* device : {"cpu", "cuda:0"}) {
      EXPECT_LT(relative_difference(run_graph(Device::open(device, {}), primitive, 2, inputs, true), expected), 2e-5)
          << device << ", read before " << before;
    }
  }
}

TEST_P(SecondReader, OfTheCallersKeepsAValue) {
  for (const bool is_read : {false, true}) {
    RandomValues random(6);
    GraphMaker maker(random);
    const Operands operands = add_operands(maker);
    const int value = fold().write(maker, operands);
    if (is_read) maker.graph().bind_output(value, DPM_BINDING_HEAD);
    maker.leave(fold().read(maker, value, operands));
    Graph fused = maker.graph();
    graph::fuse(fused, [](const Graph&, const Node&) { return true; });
    const bool kept = std::any_of(fused.nodes.begin(), fused.nodes.end(), [&](const Node& node) {
      return std::count(node.outputs.begin(), node.outputs.end(), value) == 1;
    });
    // A vector that moves into the norm leaves the convolution without it.
    EXPECT_EQ(kept, is_read || fold().name == std::string("VectorIntoNorm"));
    for (const Node& node : fused.nodes) {
      const bool adds_vector = node.op == DPM_OP_GROUP_NORM && node.input(2) >= 0;
      EXPECT_FALSE(is_read && adds_vector) << "the caller reads a map without its vector";
    }
  }
}

TEST(ProductsOfOneMap, AreOneNodeWhereTheyReadAllOfIt) {
  const auto count = [](const std::vector<graph::Convolution>& products) {
    RandomValues random(6);
    GraphMaker maker(random);
    const int map = maker.enter(maker.image(kChannels, 6, 4));
    for (const graph::Convolution& how : products) {
      maker.graph().bind_output(
          maker.activation(maker.bias(maker.convolution(map, kChannels, how)), DPM_ACTIVATION_MISH),
          DPM_BINDING_OUTPUT);
    }
    Graph fused = maker.graph();
    graph::fuse(fused, [](const Graph&, const Node&) { return true; });
    return std::count_if(fused.nodes.begin(), fused.nodes.end(),
                         [](const Node& node) { return node.op == DPM_OP_CONVOLUTION; });
  };
  const graph::Convolution whole = same_size(1);
  const graph::Convolution every_other = {1, 2, 0, 0};
  EXPECT_EQ(count({whole, whole}), 1);
  EXPECT_EQ(count({whole, every_other}), 2);
  EXPECT_EQ(count({every_other, every_other}), 2);
  EXPECT_EQ(count({whole, same_size(3)}), 2);
}

INSTANTIATE_TEST_SUITE_P(Folds, SecondReader, testing::Range(std::size_t{0}, folds().size()),
                         [](const auto& info) { return std::string(folds()[info.param].name); });

}  // namespace
}  // namespace dpm::test
