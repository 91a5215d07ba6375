// Test of norms that complete the sum of the convolution before them: when they do, and that nothing else changes.
#include <algorithm>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cuda_device.h"
#include "evaluate_network.h"
#include "graph_maker.h"
#include "random_graph.h"
#include "scoped_environment.h"

namespace dpm::test {
namespace {

constexpr int kSide = 6;
constexpr NetworkOptions kOptions{0, false, {}};

class EmulatedCompletions : public CudaDevice {
 protected:
  using Middle = std::function<int(GraphMaker&, int)>;

  /// Makes a sum with `middle`, its norm, and a reader of both.
  graph::Graph graph_of(int channels, const Middle& middle) {
    GraphMaker maker(random_);
    const int x = maker.enter(maker.convolution(maker.image(2, kSide, kSide), channels, same_size(3)));
    const int sum = middle(maker, x);
    const int normed = maker.convolution(maker.silu(maker.norm(sum, 2)), channels, same_size(3));
    maker.leave(maker.sum(normed, sum));
    return maker.graph();
  }
  static int residual(GraphMaker& maker, int x) {
    return maker.sum(maker.bias(maker.convolution(x, maker.channels(x), same_size(3))), x);
  }

  /// Returns the error of `graph` on the GPU, against `plain` on the reference device.
  static double error(const graph::Graph& plain, const graph::Graph& graph, DType dtype) {
    Network reference(Device::open("reference", {}), plain, kOptions);
    Network network(open(dtype), graph, kOptions);
    return relative_difference(evaluate_twice(network, 3), evaluate_twice(reference, 3));
  }
  static double error(const graph::Graph& graph, DType dtype) { return error(graph, graph, dtype); }
  /// Counts the kernels of an evaluation that needs no more preparation.
  static std::uint64_t kernels(const graph::Graph& graph, DType dtype) {
    Network network(open(dtype), graph, kOptions);
    evaluate_twice(network, 3);
    emulation().reset_counters();
    evaluate_twice(network, 3);
    return emulation().counters().kernels;
  }

  RandomValues random_{9};
  ScopedEnvironment bare_{"DPM_EMULATED_PRODUCTS", "bare"};
  ScopedEnvironment large_{"DPM_CUDA_SMALL", "off"};
};

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

double tolerance_of(DType dtype) { return dtype == DType::kFloat32 ? 2e-5 : 3e-2; }

TEST_F(EmulatedCompletions, SaveAPass) {
  EXPECT_TRUE(device_->placement_rules().norms_complete_sums);
  for (const DType dtype : kTypes) {
    // A number of channels that is no multiple of a type's vectors cannot be completed.
    const int uneven = dtype == DType::kFloat32 ? 18 : 20;
    EXPECT_EQ(kernels(graph_of(16, residual), dtype) + 2, kernels(graph_of(uneven, residual), dtype))
        << static_cast<int>(dtype);
  }
}

TEST_F(EmulatedCompletions, CanBeSwitchedOff) {
  const graph::Graph graph = graph_of(16, residual);
  for (const DType dtype : kTypes) {
    const std::uint64_t with = kernels(graph, dtype);
    const ScopedEnvironment off("DPM_CUDA_COMPLETE", "off");
    EXPECT_EQ(kernels(graph, dtype), with + 2) << static_cast<int>(dtype);
    EXPECT_LT(error(graph, dtype), tolerance_of(dtype));
  }
}

TEST_F(EmulatedCompletions, AreWhatAPassWouldHaveDone) {
  const std::vector<std::pair<const char*, Middle>> middles = {
      {"residual", residual},
      {"bias alone", [](GraphMaker& maker, int x) { return maker.bias(maker.convolution(x, 16, same_size(3))); }},
      {"scale", [](GraphMaker& maker, int x) { return maker.affine(residual(maker, x), 0.75F); }},
      {"SiLU", [](GraphMaker& maker, int x) { return maker.silu(residual(maker, x)); }},
      {"vector",
       [](GraphMaker& maker, int x) {
         const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{16});
         const int made = maker.bias(maker.convolution(x, 16, same_size(3)));
         return maker.sum(maker.add(DPM_OP_CHANNEL_ADD, {made, vector}), x);
       }},
      {"side by side", [](GraphMaker& maker, int x) {
         const int sum = residual(maker, x);
         const int both = maker.add(DPM_OP_CONCAT, {sum, maker.convolution(x, 16, same_size(1))});
         maker.graph().bind_output(maker.silu(both), DPM_BINDING_HEAD);
         return sum;
       }}};
  for (const auto& [name, middle] : middles) {
    const graph::Graph graph = graph_of(16, middle);
    for (const DType dtype : kTypes) {
      EXPECT_LT(error(graph, dtype), tolerance_of(dtype)) << name << ", type " << static_cast<int>(dtype);
    }
  }
}

/// Makes a sum and a norm of it that adds a bias, or a row for the time, to its input for itself only; where `joined`,
/// the norm is the sum's only reader.
graph::Graph adding_norm(RandomValues& random, bool adds_bias, bool joined) {
  GraphMaker maker(random);
  const int x = maker.enter(maker.convolution(maker.image(2, kSide, kSide), 16, same_size(3)));
  const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{16});
  const int sum = maker.sum(maker.bias(maker.convolution(x, 16, same_size(3))), x);
  const int constant = maker.constant({16}, 4);
  int normed = sum;
  if (!joined) {
    graph::Node bias = graph::make_node(DPM_OP_BIAS, "bias", {sum});
    bias.biases = {constant};
    normed = adds_bias ? maker.add(std::move(bias)) : maker.add(DPM_OP_CHANNEL_ADD, {sum, vector});
  }
  graph::Node norm = graph::make_node(DPM_OP_GROUP_NORM, "norm", {normed}, graph::GroupNorm{2, 1e-5F});
  norm.weights = {maker.constant({16}, 0.3F, 1)};
  norm.biases = {maker.constant({16}, 0.3F)};
  if (joined && adds_bias) norm.biases.push_back(constant);
  if (joined && !adds_bias) norm.inputs = {sum, -1, vector};
  maker.leave(maker.sum(maker.add(std::move(norm)), sum));
  return maker.graph();
}

TEST_F(EmulatedCompletions, AreNotDoneByANormThatAddsForItself) {
  for (const bool adds_bias : {false, true}) {
    RandomValues one(4);
    RandomValues same(4);
    const graph::Graph plain = adding_norm(one, adds_bias, false);
    const graph::Graph joined = adding_norm(same, adds_bias, true);
    for (const DType dtype : kTypes) {
      EXPECT_LT(error(plain, joined, dtype), tolerance_of(dtype)) << adds_bias << ", type " << static_cast<int>(dtype);
    }
  }
}

TEST_F(EmulatedCompletions, AreNotDoneForWhatIsComputedOnceATrajectory) {
  GraphMaker maker(random_);
  const int image = maker.image(2, kSide, kSide);
  const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{16});
  const int sum = maker.sum(maker.bias(maker.convolution(vector, 16, same_size(3))), vector);
  const int normed = maker.convolution(maker.silu(maker.norm(sum, 2)), 16, same_size(3));
  maker.leave(maker.add(DPM_OP_CHANNEL_ADD, {maker.convolution(image, 16, same_size(3)), maker.sum(normed, sum)}));
  for (const DType dtype : kTypes) EXPECT_LT(error(maker.graph(), dtype), tolerance_of(dtype));
}

TEST_F(EmulatedCompletions, AreNotDoneForWhatRunsBeside) {
  GraphMaker maker(random_);
  const int x = maker.enter(maker.image(16, kSide, kSide));
  // Maps that lie side by side are written packed, into memory that a branch has for itself.
  const int sum = residual(maker, x);
  const int both = maker.convolution(maker.silu(maker.add(DPM_OP_CONCAT, {sum, maker.enter(x)})), 16, same_size(1));
  maker.leave(maker.sum(maker.norm(sum, 2), both));
  graph::Graph beside = maker.graph();
  graph::fuse(beside, supports_of(*device_));
  const auto branch = std::find_if(beside.nodes.begin(), beside.nodes.end(),
                                   [](const graph::Node& node) { return node.op == DPM_OP_CONVOLUTION; });
  ASSERT_GE(branch->input(2), 0);
  graph::attributes<graph::Convolution>(*branch).beside = true;
  // The norm of the branch comes directly after it.
  const auto norm =
      std::find_if(branch, beside.nodes.end(), [](const graph::Node& node) { return node.op == DPM_OP_GROUP_NORM; });
  std::rotate(std::next(branch), norm, std::next(norm));
  const GraphInputs inputs{random_.normals(3 * 16 * kSide * kSide), {}, {}};
  const std::vector<float> expected = run_graph(Device::open("reference", {}), maker.graph(), 3, inputs, false);
  for (const DType dtype : kTypes) {
    EXPECT_LT(relative_difference(run_graph(open(dtype), beside, 3, inputs, false), expected), tolerance_of(dtype));
  }
}

TEST_F(EmulatedCompletions, StopWhereKernelsOfSmallMapsDoIt) {
  const ScopedEnvironment small("DPM_CUDA_SMALL", "on");
  // The kernel for small maps includes the norm, without a plan of the library; or the sum is already complete, and
  // several nodes read the norm.
  const graph::Graph taken_over = graph_of(
      16, [](GraphMaker& maker, int x) { return maker.sum(maker.bias(maker.convolution(x, 16, same_size(5))), x); });
  GraphMaker maker(random_);
  const int sum = residual(maker, maker.enter(maker.convolution(maker.image(2, kSide, kSide), 16, same_size(3))));
  const int normed = maker.norm(sum, 2);
  maker.leave(maker.sum(maker.convolution(normed, 16, same_size(3)), normed));
  for (const DType dtype : kTypes) {
    EXPECT_LT(error(taken_over, dtype), tolerance_of(dtype));
    EXPECT_LT(error(maker.graph(), dtype), tolerance_of(dtype));
  }
}

TEST_F(EmulatedCompletions, OfRandomGraphsChangeNothing) {
  int completed = 0;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 generator(seed);
    const RandomGraph made([&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); },
                           RandomGraph::kAnyOperation);
    const auto run = [&](std::uint64_t* kernels) {
      emulation().reset_counters();
      std::vector<float> output = made.run(open(DType::kFloat32));
      *kernels = emulation().counters().kernels;
      return output;
    };
    std::uint64_t with = 0;
    std::uint64_t without = 0;
    const std::vector<float> actual = run(&with);
    const ScopedEnvironment off("DPM_CUDA_COMPLETE", "off");
    EXPECT_LT(relative_difference(actual, run(&without)), 2e-5) << seed;
    completed += with < without ? 1 : 0;
  }
  EXPECT_GT(completed, 3);
}

TEST_F(EmulatedCompletions, AreProfiledAsTheyRun) {
  Network network(open(DType::kBFloat16), graph_of(16, residual), kOptions);
  const std::vector<float> before = evaluate_twice(network, 3);
  const std::atomic<bool> running{false};
  for (const NodeTime& node : network.profile(3, 1, running)) EXPECT_GE(node.milliseconds, 0) << node.name;
  EXPECT_EQ(evaluate_twice(network, 3), before);
}

}  // namespace
}  // namespace dpm::test
