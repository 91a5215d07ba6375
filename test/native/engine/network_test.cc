// Test of the properties of a loaded network.
#include "engine/network.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

TEST(NetworkInfo, CountsWeightsAndProductsOfTheFusedGraph) {
  RandomValues random(4);
  GraphMaker maker(random);
  const int map = maker.bias(maker.convolution(maker.image(2, 4, 6), 5, same_size(3)));
  maker.output(maker.bias(maker.convolution(map, 2, same_size(1))));
  for (const char* device : {"cpu", "reference"}) {
    const Network network(Device::open(device, {1, false}), maker.graph(), {0, false, {}});
    EXPECT_EQ(network.info().parameters, 2 * 5 * 9 + 5 + 5 * 2 + 2U);
    EXPECT_EQ(network.info().multiply_adds, (2 * 5 * 9 + 5 * 2) * 4 * 6U);
    EXPECT_EQ(network.info().nodes, device == std::string("cpu") ? 2U : 4U);
  }
}

TEST(NetworkInfo, CountsBothProductsOfAttention) {
  RandomValues random(4);
  GraphMaker maker(random);
  const int image = maker.image(6, 3, 5);
  maker.output(maker.attention(image, image, image, 2));
  const Network network(Device::open("reference", {1, false}), maker.graph(), {0, false, {}});
  EXPECT_EQ(network.info().multiply_adds, 2 * 15 * 15 * 6U);
}

TEST(NetworkProfile, HasATimeForEveryNodeAndEndsWithTheEngine) {
  const auto network = SmallNetwork().load("cpu");
  std::atomic<bool> stopping{false};
  const std::vector<NodeTime> times = network->profile(3, 2, stopping);
  ASSERT_EQ(times.size(), network->info().nodes);
  std::uint64_t products = 0;
  double milliseconds = 0;
  for (const NodeTime& each : times) {
    EXPECT_FALSE(each.name.empty());
    EXPECT_GE(each.milliseconds, 0);
    milliseconds += each.milliseconds;
    products += each.multiply_adds;
  }
  EXPECT_EQ(products, 3 * network->info().multiply_adds);
  EXPECT_GT(milliseconds, 0);
  stopping = true;
  EXPECT_EQ(code_of([&] { network->profile(3, 2, stopping); }), ErrorCode::kClosed);
}

TEST(NetworkMeasure, LeavesNoMoreMemoryThanBefore) {
  const auto network = SmallNetwork().load("cpu");
  const std::atomic<bool> stopping{false};
  network->reserve(2);
  // The table of times is filled by this call.
  network->measure({1}, 1, stopping);
  const std::uint64_t before = network->device().memory().host;
  EXPECT_EQ(network->measure({1, 16}, 1, stopping).size(), 2U);
  EXPECT_EQ(network->device().memory().host, before);
}

TEST(NetworkThatSeesMore, LeavesNoSteppingToItsDeviceAndTakesNothingLess) {
  for (const char* name : {DPM_BINDING_CONTEXT, DPM_BINDING_ADDED, DPM_BINDING_GUIDANCE}) {
    RandomValues random(4);
    GraphMaker maker(random);
    const int map = maker.enter(maker.image(2, 3, 1));
    maker.leave(maker.sum(map, maker.enter(maker.graph().add_input(name, 2, 3, 1))));
    Network network(Device::open("cuda:0", {}), maker.graph(), {});
    EXPECT_FALSE(network.runs_trajectories()) << name;
    EXPECT_FALSE(network.takes_steps()) << name;
    network.reserve(1);
    const auto buffer = network.device().allocate(6 * sizeof(float));
    Evaluation evaluation;
    evaluation.batch = 1;
    evaluation.image = evaluation.out = buffer->view(6);
    EXPECT_EQ(code_of([&] { network.evaluate(evaluation, nullptr); }), ErrorCode::kArgument) << name;
    evaluation.context = evaluation.added = evaluation.guidance = buffer->view(6);
    EXPECT_EQ(code_of([&] { network.evaluate(evaluation, nullptr); }), ErrorCode::kOk) << name;
  }
}

TEST(NetworkThatDivides, LeavesNoSteppingToItsDevice) {
  NetworkOptions divides = SmallNetwork::options();
  divides.divides_by_time = true;
  const auto device = Device::open("cuda:0", {});
  const Network plain(device, SmallNetwork().graph(), SmallNetwork::options());
  EXPECT_TRUE(plain.runs_trajectories());
  EXPECT_TRUE(plain.takes_steps());
  const Network dividing(device, SmallNetwork().graph(), divides);
  EXPECT_FALSE(dividing.runs_trajectories());
  EXPECT_FALSE(dividing.takes_steps());
}

}  // namespace
}  // namespace dpm::test
