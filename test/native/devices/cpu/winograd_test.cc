// Test of the choice of the CPU device's convolutions that use Winograd's algorithm.
#include <gtest/gtest.h>

#include "devices/cpu/device.h"
#include "devices/cpu/isa_select.h"
#include "devices/cpu/layers/convolution.h"
#include "devices/cpu/network.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

/// Makes a convolution that is large enough for Winograd's algorithm.
graph::Graph one_convolution(RandomValues& random) {
  GraphMaker maker(random);
  maker.leave(maker.bias(maker.convolution(maker.enter(maker.image(80, 12, 9)), 64, same_size(3))));
  return maker.graph();
}

TEST(Winograd, IsNotForExactDevices) {
  // Winograd's algorithm would have no advantage on a matrix unit.
  const ScopedEnvironment forced("DPM_CPU_ISA", usable_isas().back());
  RandomValues random(7);
  const graph::Graph graph = one_convolution(random);
  const GraphInputs inputs{random.normals(2 * graph.values[0].elements()), {}, {}};
  const auto expected = run_graph(Device::open("reference", {}), graph, 2, inputs, false);
  const auto fast = run_graph(Device::open("cpu", {1, false}), graph, 2, inputs, true);
  const auto exact = run_graph(Device::open("cpu", {1, true}), graph, 2, inputs, true);
  EXPECT_NE(fast, exact);
  EXPECT_LT(relative_difference(exact, expected), 2e-6);
}

TEST(Winograd, StaysWithinItsMemory) {
  RandomValues random(7);
  const graph::Graph graph = one_convolution(random);
  const graph::LoweredGraph lowered(graph);
  cpu::Device device(1, cpu::select_isa(), false, 0);
  const auto used = [&](std::uint64_t allowed) {
    const cpu::Network network(device, lowered.get(), allowed);
    return device.memory.used();
  };
  const std::uint64_t unlimited = used(cpu::Network::kWinogradBytes);
  const std::uint64_t none = used(0);
  EXPECT_GT(unlimited, 3 * none);
  // The layer has 36 numbers per pair of channels; the limit is this size, or one byte less.
  const auto& in = graph.values[0];
  const auto& weight = graph.constants[0];
  const std::uint64_t bytes = 36 * 4 * static_cast<std::uint64_t>(in.channels * weight.dims[0]);
  EXPECT_EQ(used(bytes), unlimited);
  EXPECT_EQ(used(bytes - 1), none);
}

TEST(Winograd, HasHalfTheMemoryWhereOneTermOfBfloat16TakesTheOtherLayers) {
  const auto bytes = [](int terms) {
    return cpu::Network::winograd_bytes_of(cpu::Device(1, cpu::select_isa(), false, terms));
  };
  EXPECT_EQ(bytes(0), cpu::Network::kWinogradBytes);
  EXPECT_EQ(bytes(1), cpu::Network::kWinogradBytes / 2);
  EXPECT_EQ(bytes(2), cpu::Network::kWinogradBytes);
}

TEST(Winograd, ServesTheLargestMapsFirst) {
  RandomValues random(8);
  GraphMaker maker(random);
  int x = maker.enter(maker.image(64, 16, 16));
  const auto convolve = [&] {
    x = maker.convolution(x, 64, same_size(3), 1);
    return maker.graph().nodes.size() - 1;
  };
  const std::size_t small = convolve();
  x = maker.add(DPM_OP_UPSAMPLE, {x});
  const std::size_t large = convolve();
  maker.leave(x);

  const graph::LoweredGraph lowered(maker.graph());
  const std::uint64_t one = std::uint64_t{36} * 4 * 64 * 64;
  const cpu::Device device(1, cpu::select_isa(), false, 0);
  const auto chosen = [&](std::uint64_t bytes) {
    const std::vector<bool> choice = cpu::choose_winograd(device, lowered.get(), bytes);
    return std::pair<bool, bool>(choice[small], choice[large]);
  };
  EXPECT_EQ(chosen(2 * one), std::pair(true, true));
  EXPECT_EQ(chosen(2 * one - 1), std::pair(false, true));
  EXPECT_EQ(chosen(one - 1), std::pair(false, false));
  const cpu::Device exact(1, cpu::select_isa(), true, 0);
  EXPECT_FALSE(cpu::choose_winograd(exact, lowered.get(), 2 * one)[large]);
}

}  // namespace
}  // namespace dpm::test
