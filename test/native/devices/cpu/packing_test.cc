// Test of the weights that networks of a CPU device share.
#include "devices/cpu/layers/packing.h"

#include <gtest/gtest.h>

#include "devices/cpu/isa_select.h"
#include "devices/cpu/network.h"
#include "evaluate_derivative.h"
#include "evaluate_network.h"
#include "graph_maker.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

using cpu::Packed;
using cpu::Packing;
using cpu::WeightOrder;

/// A device, and a graph of nothing but constants.
struct Constants {
  explicit Constants(const std::vector<std::uint64_t>& identities) {
    for (const std::uint64_t identity : identities) {
      constants.push_back(graph::lower(random.constant({4, 3})));
      constants.back().identity = identity;
    }
    graph.constants = constants.data();
    graph.constant_count = static_cast<std::uint32_t>(constants.size());
  }

  RandomValues random{5};
  std::vector<dpm_constant> constants;
  dpm_graph graph{};
  cpu::Device device{1, cpu::select_isa(), false, 0};
};

Packed pack(Constants& from, WeightOrder order, const std::vector<std::int32_t>& which, std::size_t bytes = 64) {
  Packing packing(from.device, from.graph);
  return packing.get(order, which.data(), static_cast<std::uint32_t>(which.size()), bytes,
                     [](std::span<const cpu::WeightElements> /*constants*/, float* to) { *to = 1; });
}

TEST(Packing, IsSharedByTheSameConstantsInTheSameOrder) {
  Constants from({2, 4, 2});
  const Packed first = pack(from, WeightOrder::kVectors, {0, 1});
  EXPECT_EQ(pack(from, WeightOrder::kVectors, {0, 1}), first);
  EXPECT_EQ(pack(from, WeightOrder::kVectors, {2, 1}), first) << "other index, same identity";
  EXPECT_NE(pack(from, WeightOrder::kPixels, {0, 1}), first);
  EXPECT_NE(pack(from, WeightOrder::kVectors, {1, 0}), first);
  EXPECT_NE(pack(from, WeightOrder::kVectors, {0}), first);
  EXPECT_NE(pack(from, WeightOrder::kVectors, {0, 0}), first);
}

TEST(Packing, IsNotSharedByLayersThatTakeMoreOrFewerTermsOfEachWeight) {
  Constants from({2});
  const Packed one = pack(from, WeightOrder::kBf16, {0}, 64);
  const Packed two = pack(from, WeightOrder::kBf16, {0}, 128);
  EXPECT_NE(two, one);
  EXPECT_EQ(from.device.memory.used(), 192U);
  EXPECT_EQ(pack(from, WeightOrder::kBf16, {0}, 64), one);
}

TEST(Packing, IsNotSharedByConstantsWithoutAnIdentity) {
  Constants from({0, 2});
  const Packed first = pack(from, WeightOrder::kVectors, {0});
  EXPECT_NE(pack(from, WeightOrder::kVectors, {0}), first);
  const Packed both = pack(from, WeightOrder::kVectors, {1, 0});
  EXPECT_NE(pack(from, WeightOrder::kVectors, {1, 0}), both);
}

TEST(Packing, IsReleasedWithItsLastOwner) {
  Constants from({2});
  Packed first = pack(from, WeightOrder::kVectors, {0});
  Packed second = pack(from, WeightOrder::kVectors, {0});
  EXPECT_EQ(from.device.memory.used(), 64U);
  first.reset();
  EXPECT_EQ(from.device.memory.used(), 64U);
  EXPECT_EQ(from.device.weights.size(), 1U);
  second.reset();
  EXPECT_EQ(from.device.memory.used(), 0U);
  const Packing next(from.device, from.graph);
  EXPECT_EQ(from.device.weights.size(), 0U);
}

TEST(Packing, CountsTheBytesThatAnEvaluationReads) {
  Constants from({2});
  Packing packing(from.device, from.graph);
  const std::int32_t constant = 0;
  const Packed first = packing.vectors(&constant, 1);
  const Packed again = packing.vectors(&constant, 1);
  EXPECT_EQ(first, again);
  EXPECT_EQ(packing.read_bytes(), 2 * 12 * sizeof(float));
}

std::unique_ptr<Network> load(const std::shared_ptr<Device>& device, const graph::Graph& graph,
                              Derivative derivative = Derivative::kNone,
                              graph::Recompute recompute = graph::Recompute::kNone) {
  NetworkOptions options = SmallNetwork::options();
  options.derivative = derivative;
  options.recompute = recompute;
  return std::make_unique<Network>(device, graph, options);
}

TEST(SharedWeights, OfAPushforwardAreThoseOfTheNetwork) {
  const SmallNetwork small(SecondOutput::kHead);
  const auto device = Device::open("cpu", {2, false});
  const std::uint64_t before = device->memory().host;
  auto network = load(device, small.graph());
  EXPECT_GT(network->info().weight_bytes, 4 * network->info().parameters);
  const std::uint64_t loaded = device->memory().host;
  auto pushforward = load(device, small.graph(), Derivative::kPushforward);
  EXPECT_EQ(pushforward->info().weight_bytes, 0U);
  EXPECT_EQ(device->memory().host, loaded);

  const auto alone = load(Device::open("cpu", {2, false}), small.graph(), Derivative::kPushforward);
  const DerivativeResult expected = derive_twice(*alone, 3);
  network.reset();
  const DerivativeResult result = derive_twice(*pushforward, 3);
  EXPECT_EQ(result.derived, expected.derived);
  EXPECT_EQ(result.outputs, expected.outputs);
  pushforward.reset();
  EXPECT_EQ(device->memory().host, before);
}

TEST(SharedWeights, AreNotPackedAgainWhereBlocksAreComputedAgain) {
  const SmallNetwork small;
  const auto bytes = [&](graph::Recompute recompute) {
    return load(Device::open("cpu", {1, false}), small.graph(), Derivative::kPullback, recompute)->info().weight_bytes;
  };
  EXPECT_EQ(bytes(graph::Recompute::kBlocks), bytes(graph::Recompute::kNone));
}

TEST(SharedWeights, OfAPullbackAreHalfThoseOfTheNetwork) {
  const SmallNetwork small;
  const auto device = Device::open("cpu", {1, false});
  const auto network = load(device, small.graph());
  const auto beside = load(device, small.graph(), Derivative::kPullback);
  const auto alone = load(Device::open("cpu", {1, false}), small.graph(), Derivative::kPullback);
  EXPECT_GT(beside->info().weight_bytes, 0U);
  EXPECT_LT(beside->info().weight_bytes, alone->info().weight_bytes);
  EXPECT_EQ(derive_twice(*beside, 2).derived, derive_twice(*alone, 2).derived);
}

/// A convolution of 64 channels with the same weights, for maps of any size.
graph::Graph sized(const GraphMaker& first, int side) {
  RandomValues random(9);
  GraphMaker maker(random);
  maker.leave(maker.convolution(maker.enter(maker.image(64, side, side)), 64, same_size(3)));
  maker.graph().constants = first.graph().constants;
  return maker.graph();
}

TEST(SharedWeights, OfAnotherSizeAreNotThoseOfAnotherAlgorithm) {
  RandomValues random(9);
  GraphMaker first(random);
  first.convolution(first.image(64, 16, 16), 64, same_size(3));
  const auto device = Device::open("cpu", {1, false});
  const auto bytes = [&](const graph::Graph& graph, const std::shared_ptr<Device>& on) {
    return std::make_unique<Network>(on, graph, NetworkOptions{});
  };
  // Maps of 4 x 4 are too small for Winograd's algorithm on any processor that has it for those of 16 x 16.
  const auto large = bytes(sized(first, 16), device);
  const auto small = bytes(sized(first, 4), device);
  const auto alone = bytes(sized(first, 4), Device::open("cpu", {1, false}));
  EXPECT_EQ(evaluate_twice(*small, 2), evaluate_twice(*alone, 2));
  EXPECT_EQ(bytes(sized(first, 12), device)->info().weight_bytes, 0U);
}

}  // namespace
}  // namespace dpm::test
