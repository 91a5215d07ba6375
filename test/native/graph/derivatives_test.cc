// Test of derivatives of random graphs: pullbacks and pushforwards have to agree with one another and with differences
// of the network itself, and to be the same on every device.
#include "graph/passes/derivatives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "evaluate_derivative.h"
#include "graph/planner.h"
#include "graph_maker.h"
#include "graph_runner.h"
#include "random_graph.h"

namespace dpm::test {
namespace {

RandomGraph graph_of(std::uint32_t seed) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return {[generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); },
          RandomGraph::kDifferentiable};
}

/// Calls `body(seed, graph)` for graphs that have derivatives both ways; those with vectors that depend on the image
/// have none forward.
template <typename Body>
int for_graphs(std::uint32_t most, const Body& body) {
  const auto reference = Device::open("reference", {});
  int count = 0;
  for (std::uint32_t seed = 0; seed < most; ++seed) {
    const RandomGraph made = graph_of(seed);
    const auto refuses = [&](Derivative derivative) {
      return code_of([&] { const Network probe = made.network(reference, derivative); }) != ErrorCode::kOk;
    };
    if (refuses(Derivative::kPushforward) || refuses(Derivative::kPullback)) continue;
    body(seed, made, reference);
    ++count;
  }
  return count;
}

TEST(Derivatives, OfBothWaysAreTransposed) {
  const int count = for_graphs(120, [](std::uint32_t seed, const RandomGraph& made, const auto& device) {
    Network backward = made.network(device, Derivative::kPullback);
    Network forward = made.network(device, Derivative::kPushforward);
    const DerivativeResult pulled = derive_twice(backward, made.batch());
    const DerivativeResult pushed = derive_twice(forward, made.batch());
    EXPECT_EQ(pulled.outputs, pushed.outputs) << seed;
    // The two sides are v (J u) and (J^T v) u.
    const double right = product(pulled.given, pushed.derived);
    const double left = product(pulled.derived, pushed.given);
    const double size = std::sqrt(product(pulled.given, pulled.given) * product(pushed.derived, pushed.derived));
    EXPECT_NEAR(left, right, 1e-6 * std::max(size, 1e-6)) << seed;
  });
  EXPECT_GT(count, 60);
}

TEST(Derivatives, AreThoseOfDifferences) {
  const int count = for_graphs(120, [](std::uint32_t seed, const RandomGraph& made, const auto& device) {
    Network network = made.network(device, Derivative::kPushforward);
    constexpr float kStep = 1e-4F;
    const DerivativeResult at = derive_twice(network, made.batch());
    const DerivativeResult after = derive_twice(network, made.batch(), kStep);
    const DerivativeResult before = derive_twice(network, made.batch(), -kStep);
    // The errors are summed, because a few elements may lie at the bend of an activation.
    double error = 0;
    for (std::size_t i = 0; i < at.derived.size(); ++i) {
      const double change = static_cast<double>(after.outputs[i]) - static_cast<double>(before.outputs[i]);
      error += std::pow(change / (2 * static_cast<double>(kStep)) - static_cast<double>(at.derived[i]), 2);
    }
    // The second term is for the rounding of the outputs to float32.
    const double most =
        5e-3 * std::sqrt(product(at.derived, at.derived)) + 1e-3 * std::sqrt(product(at.outputs, at.outputs));
    EXPECT_LT(std::sqrt(error), most) << seed;
  });
  EXPECT_GT(count, 60);
}

TEST(Derivatives, AgreeWithTheReference) {
  std::set<dpm_op> covered;
  for_graphs(100, [&](std::uint32_t seed, const RandomGraph& made, const auto& reference) {
    for (const Derivative derivative : {Derivative::kPullback, Derivative::kPushforward}) {
      Network network = made.network(reference, derivative);
      for (const graph::Node& node : network.graph().nodes) covered.insert(node.op);
      const DerivativeResult expected = derive_twice(network, made.batch());
      for (const std::string& isa : usable_isas()) {
        const ScopedEnvironment forced("DPM_CPU_ISA", isa);
        const auto difference = [&](bool exact) {
          Network own = made.network(Device::open("cpu", {2, exact}), derivative);
          const DerivativeResult result = derive_twice(own, made.batch());
          EXPECT_LT(relative_difference(result.outputs, expected.outputs), 1e-4) << isa << ", seed " << seed;
          return relative_difference(result.derived, expected.derived);
        };
        EXPECT_LT(difference(true), 1e-4) << isa << ", seed " << seed;
        EXPECT_LT(difference(false), 2e-4) << isa << ", seed " << seed;
      }
    }
  });
  // DPM_OP_LABEL_SCORE has tests of its own.
  for (int op = DPM_OP_VIEW; op < static_cast<int>(DPM_OP_LABEL_SCORE); ++op)
    EXPECT_EQ(covered.count(static_cast<dpm_op>(op)), 1) << op;
}

TEST(Derivatives, AreTheSameToTheBitWhereNormsAreComputedAgain) {
  int larger = 0;
  for_graphs(60, [&](std::uint32_t seed, const RandomGraph& made, const auto& reference) {
    for (const auto& device : {reference, Device::open("cpu", {2, true})}) {
      Network kept = made.network(device, Derivative::kPullback);
      Network again = made.network(device, Derivative::kPullback, graph::Recompute::kNorms);
      const DerivativeResult expected = derive_twice(kept, made.batch());
      const DerivativeResult result = derive_twice(again, made.batch());
      EXPECT_EQ(result.derived, expected.derived) << device->name() << ", seed " << seed;
      EXPECT_EQ(result.outputs, expected.outputs) << device->name() << ", seed " << seed;
      if (again.info().nodes > kept.info().nodes) ++larger;
    }
  });
  EXPECT_GT(larger, 5);
}

TEST(Derivatives, AreTheSameWhereBlocksAreComputedAgain) {
  int larger = 0;
  for_graphs(100, [&](std::uint32_t seed, const RandomGraph& made, const auto& reference) {
    for (const auto& device : {reference, Device::open("cpu", {2, false})}) {
      Network kept = made.network(device, Derivative::kPullback);
      Network again = made.network(device, Derivative::kPullback, graph::Recompute::kBlocks);
      const DerivativeResult expected = derive_twice(kept, made.batch());
      const DerivativeResult result = derive_twice(again, made.batch());
      if (device == reference) {
        EXPECT_EQ(result.derived, expected.derived) << seed;
        EXPECT_EQ(result.outputs, expected.outputs) << seed;
        if (again.info().nodes > kept.info().nodes) ++larger;
      } else {
        EXPECT_LT(relative_difference(result.derived, expected.derived), 1e-5) << seed;
        EXPECT_LT(relative_difference(result.outputs, expected.outputs), 1e-5) << seed;
      }
    }
  });
  EXPECT_GT(larger, 20);
}

/// Returns the names of the nodes that are computed again.
std::set<std::string> computed_again(const graph::Graph& graph) {
  constexpr std::string_view kAgain = ".again";
  std::set<std::string> names;
  for (const graph::Node& node : graph.nodes) {
    if (node.name.ends_with(kAgain)) names.insert(node.name.substr(0, node.name.size() - kAgain.size()));
  }
  return names;
}

TEST(RecomputedBlocks, AreOfWhatTheDerivativeReadsAlone) {
  RandomValues random(5);
  GraphMaker maker(random);
  std::map<std::string, std::string> roles;
  const auto last = [&](const char* role, int value) {
    roles[maker.graph().nodes.back().name] = role;
    return value;
  };
  const graph::Convolution same{.kernel = 3, .pad_before = 1, .pad_after = 1};
  const int x = last("stem", maker.convolution(maker.image(4, 4, 4), 4, same));
  const int normed = last("norm", maker.norm(x, 2));
  const int inner = last("first", maker.convolution(maker.silu(normed), 4, same));
  const int second = last("second norm", maker.norm(inner, 2));
  const int outer = last("second", maker.convolution(maker.silu(second), 4, same));
  const int sum = last("sum", maker.sum(outer, x));
  const int before = last("norm of attention", maker.norm(sum, 2));
  const int q = last("q", maker.convolution(before, 4, {.kernel = 1}));
  const int k = last("k", maker.convolution(before, 4, {.kernel = 1}));
  const int v = last("v", maker.convolution(before, 4, {.kernel = 1}));
  const int attention = last("attention", maker.attention(q, k, v, 1));
  const int end = last("end", maker.sum(maker.convolution(attention, 4, {.kernel = 1}), sum));
  maker.output(maker.convolution(maker.norm(end, 2), 2, same));
  graph::Graph again = maker.graph();
  graph::differentiate(again, graph::Recompute::kBlocks);
  std::set<std::string> found;
  for (const std::string& name : computed_again(again)) found.insert(roles.at(name));
  // Folded norms have the name of the norm.
  EXPECT_EQ(found, (std::set<std::string>{"norm", "first", "norm of attention", "q", "k", "v"}));
  graph::Graph kept = maker.graph();
  graph::differentiate(kept);
  EXPECT_EQ(computed_again(kept).size(), 0u);
  EXPECT_LT(graph::plan_memory(again, {}).elements, graph::plan_memory(kept, {}).elements);
}

// A norm is invariant to a number added to a group, and nearly to a factor of a group, which matters only because of
// epsilon.
TEST(Derivatives, OfNormsAreInvariant) {
  constexpr int kChannels = 8;
  constexpr int kGroups = 2;
  constexpr int kSide = 5;
  constexpr int kBatch = 2;
  constexpr double kEpsilon = 0.5;
  RandomValues random(4);
  GraphMaker maker(random);
  graph::Node norm = graph::make_node(DPM_OP_GROUP_NORM, "norm", {maker.enter(maker.image(kChannels, kSide, kSide))},
                                      graph::GroupNorm{kGroups, static_cast<float>(kEpsilon)});
  norm.weights = {maker.constant({kChannels}, 0, 1)};
  norm.biases = {maker.constant({kChannels}, 0, 0)};
  maker.output(maker.affine(maker.add(std::move(norm)), 1));
  NetworkOptions options;
  options.derivative = Derivative::kPullback;
  constexpr std::size_t kElements = kChannels / kGroups * kSide * kSide;
  for (const char* device : {"reference", "cpu", "cuda"}) {
    Network network(Device::open(device, {}), maker.graph(), options);
    const DerivativeResult result = derive_twice(network, kBatch);
    for (std::size_t group = 0; group < std::size_t{kBatch} * kGroups; ++group) {
      double sum = 0;
      double squares = 0;
      double along = 0;
      double given_along = 0;
      double largest = 0;
      for (std::size_t i = group * kElements; i < (group + 1) * kElements; ++i) {
        const auto derived = static_cast<double>(result.derived[i]);
        const auto normed = static_cast<double>(result.outputs[i]);
        sum += derived;
        squares += normed * normed;
        along += normed * derived;
        given_along += normed * static_cast<double>(result.given[i]);
        largest = std::max(largest, std::abs(derived));
      }
      EXPECT_LT(std::abs(sum), 1e-5 * largest * static_cast<double>(kElements)) << device;
      // The difference of the variance from 1 is the share of epsilon.
      const double share = 1 - squares / static_cast<double>(kElements);
      const double expected = std::sqrt(share / kEpsilon) * share * given_along;
      EXPECT_NEAR(along, expected, 1e-4 * largest * static_cast<double>(kElements)) << device;
      EXPECT_GT(std::abs(expected), 1e-3) << device;
    }
  }
}

}  // namespace
}  // namespace dpm::test
