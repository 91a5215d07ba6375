// Test of layers whose threads take whole samples, or whole heads, where there are many: no number may depend on it.
#include <gtest/gtest.h>

#include "engine/network.h"
#include "evaluate_derivative.h"
#include "evaluate_network.h"
#include "graph_maker.h"
#include "registers.h"
#include "small_network.h"

namespace dpm::test {
namespace {

/// A batch of which one thread or two take whole samples, and eight the blocks of all.
constexpr int kMany = 19;

/// A network with everything that goes by samples: norms with a time's scale and shift, heads, products on both axes.
graph::Graph many_layers(RandomValues& random) {
  GraphMaker maker(random);
  const auto layer = [&](int input, int outputs) {
    return maker.bias(maker.convolution(input, outputs, same_size(3)));
  };
  const int first = layer(maker.image(2, 10, 9), 24);
  const int normed = maker.silu(maker.norm(first, 4));
  const int attended = maker.attention(layer(normed, 24), layer(normed, 24), layer(normed, 24), 3);
  const int smaller = maker.separable(maker.sum(attended, first), 5, 7);
  maker.output(layer(maker.silu(maker.norm(smaller, 6)), 2));
  return maker.graph();
}

std::unique_ptr<Network> load(const char* device, int threads, Derivative derivative) {
  static RandomValues random(21);
  static const graph::Graph graph = many_layers(random);
  NetworkOptions options{kMany, false, {}};
  options.derivative = derivative;
  return std::make_unique<Network>(Device::open(device, {threads, false}), graph, options);
}

TEST(ManySamples, HaveTheSameDerivativesOnAnyNumberOfThreads) {
  for (const Derivative derivative : {Derivative::kPullback, Derivative::kPushforward}) {
    const auto expected = derive_twice(*load("reference", 1, derivative), kMany);
    const auto shared = derive_twice(*load("cpu", 8, derivative), kMany);
    EXPECT_LT(relative_difference(shared.outputs, expected.outputs), 1e-5);
    EXPECT_LT(relative_difference(shared.derived, expected.derived), 1e-5);
    for (const int threads : {1, 2, 3}) {
      const auto result = derive_twice(*load("cpu", threads, derivative), kMany);
      EXPECT_EQ(result.outputs, shared.outputs) << threads << " threads";
      EXPECT_EQ(result.derived, shared.derived) << threads << " threads";
    }
  }
}

TEST(ManySamples, HaveTheSameGradientsOnAnyNumberOfThreads) {
  const auto expected = gradients_of(*load("reference", 1, Derivative::kWeights), kMany);
  const auto shared = gradients_of(*load("cpu", 8, Derivative::kWeights), kMany);
  for (const auto& [constant, values] : expected.of_constants) {
    EXPECT_LT(relative_difference(shared.of_constants.at(constant), values), 1e-5) << "constant " << constant;
  }
  for (const int threads : {1, 2, 3}) {
    const auto result = gradients_of(*load("cpu", threads, Derivative::kWeights), kMany);
    EXPECT_EQ(result.of_constants, shared.of_constants) << threads << " threads";
  }
}

TEST(ManySamples, HaveTheSameReductionsOnAnyNumberOfThreads) {
  constexpr std::uint32_t kRows = 27;
  constexpr std::uint64_t kElements = 101;
  const std::vector<float> values = RandomValues(5).normals(2 * kRows * kElements);
  for (const std::uint32_t kind : {DPM_REDUCE_SUM, DPM_REDUCE_SUM_SQUARES, DPM_REDUCE_DOT, DPM_REDUCE_MAX_ABS}) {
    const auto reduced = [&](const char* name, int threads) {
      const auto device = Device::open(name, {threads, false});
      const auto buffer = device->allocate(values.size() * sizeof(float));
      buffer->upload(0, values.data(), buffer->bytes());
      std::vector<double> results(kRows);
      device->reduce({kind, kRows, kElements, buffer->view(kElements), buffer->view(kElements, kRows * kElements),
                      results.data()});
      return results;
    };
    const std::vector<double> alone = reduced("cpu", 8);
    EXPECT_EQ(reduced("cpu", 1), alone) << kind;
    EXPECT_EQ(reduced("cpu", 3), alone) << kind;
    const std::vector<double> expected = reduced("reference", 1);
    for (std::uint32_t n = 0; n < kRows; ++n) EXPECT_NEAR(alone[n], expected[n], 1e-9) << kind << ", row " << n;
  }
}

}  // namespace
}  // namespace dpm::test
