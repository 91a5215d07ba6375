// Convolutions of the CPU device, on every instruction set this processor has, against the reference device's loops.
#include <gtest/gtest.h>

#include "devices/cpu/isa_select.h"
#include "devices/cpu/kernel_cases.h"
#include "devices/cpu/layers/convolution.h"
#include "devices/cpu/network.h"

namespace dpm::test {

Case random_convolution(RandomValues& random, int index) {
  const int kernel = index % 3 == 0 ? 1 : 3;
  const int channels = random.between(1, index % 5 == 0 ? 70 : 20);
  const int outputs = random.between(1, index % 4 == 0 ? 90 : 34);
  const int height = random.between(2, 17);
  const int width = random.between(2, index % 7 == 0 ? 45 : 17);
  const int batch = random.between(1, 4);
  GraphMaker maker(random);
  const int image = maker.image(channels, height, width);
  graph::Convolution how{kernel};
  const bool bound = kernel == 3 && index % 2 == 0;
  const int input = bound ? image : maker.enter(image);
  if (kernel == 3) {
    how.stride = random.between(1, 2);
    how.pad_before = how.stride == 2 ? random.between(0, 1) : 1;
    how.pad_after = 1;
  }
  const int out = maker.convolution(input, outputs, how, 1.0F / std::sqrt(9.0F * static_cast<float>(channels)));
  if (index % 3 == 1) {
    maker.output(out);
  } else {
    maker.leave(out);
  }
  return image_case(maker, random, batch);
}

/// A convolution large enough for Winograd's algorithm, with everything that can be fused into it.
Case random_winograd(RandomValues& random, int index) {
  const int channels = 16 * random.between(4, 6);
  const int outputs = 16 * random.between(4, 6);
  const bool enlarged = index % 3 == 0;
  const int height = random.between(5, 20);
  const int width = random.between(5, 20);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  int x = maker.enter(maker.image(channels, height, width));
  if (enlarged) x = maker.add(DPM_OP_UPSAMPLE, {x});
  int out = maker.bias(maker.convolution(x, outputs, same_size(3)));
  if (index % 2 == 0 && !enlarged && channels == outputs) out = maker.sum(out, x);
  if (index % 2 == 1) out = maker.silu(maker.affine(out, 0.7F));
  maker.leave(out);
  return image_case(maker, random, batch);
}

/// concat(a, b) -> norm [-> SiLU] -> convolution, with every way of keeping what is normalised alive: read by nobody
/// else, by the convolution's residual, by a later sum.
Case random_chain(RandomValues& random, int index) {
  const int channels = 2 * random.between(1, 40);
  const int kernel = index % 2 == 0 ? 3 : 1;
  const int height = random.between(2, 12);
  const int width = random.between(2, 12);
  const int batch = random.between(1, 3);
  GraphMaker maker(random);
  const auto convolve = [&](int input, int outputs, int size) {
    return maker.convolution(input, outputs, same_size(size),
                             0.5F / std::sqrt(static_cast<float>(maker.channels(input))));
  };
  const int copied = maker.enter(maker.image(channels, height, width));
  const int first = convolve(copied, channels, 1);
  const int second = convolve(copied, channels, 3);
  const int x = index % 5 == 0 ? second : maker.add(DPM_OP_CONCAT, {first, second});
  int h = maker.norm(x, 2);
  if (index % 3 != 0) h = maker.silu(h);
  h = convolve(h, maker.channels(x), kernel);
  if (index % 4 != 0) h = maker.sum(index % 4 == 1 ? h : convolve(h, maker.channels(x), 1), x);
  maker.leave(h);
  return image_case(maker, random, batch);
}

namespace {

/// Logits of classifiers: the network's output is one pixel, whose channels lie beside those of the next sample.
Case random_logits(RandomValues& random, int /*index*/) {
  const int channels = random.between(1, 70);
  const int outputs = random.between(2, 70);
  const int batch = random.between(2, 40);
  GraphMaker maker(random);
  maker.output(maker.bias(maker.convolution(maker.enter(maker.image(channels, 1, 1)), outputs, {})));
  return image_case(maker, random, batch);
}

class Convolutions : public testing::TestWithParam<Family> {};

TEST_P(Convolutions, AgreeWithTheReference) { compare_with_reference(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Families, Convolutions,
                         testing::Values(Family{"Convolution", random_convolution, 60},
                                         Family{"Winograd", random_winograd, 20, true},
                                         Family{"Logits", random_logits, 12, true},
                                         Family{"Chain", random_chain, 60, true}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Convolution, BatchAndThreadsDoNotChangeABit) {
  for (const MakeCase make : {random_convolution, random_winograd, random_chain}) expect_independence(make);
}

TEST(Convolution, ExactDevicesDoWithoutWinograd) {
  // Of those without a matrix unit, which leave Winograd nothing to win.
  const ScopedEnvironment forced("DPM_CPU_ISA", usable_isas().back());
  RandomValues random(7);
  const Case test = random_winograd(random, 2);
  const auto expected = run_graph(Device::open("reference", {}), test.graph, test.batch, test.inputs, false);
  const auto fast = run_graph(Device::open("cpu", {1, false}), test.graph, test.batch, test.inputs, true);
  const auto exact = run_graph(Device::open("cpu", {1, true}), test.graph, test.batch, test.inputs, true);
  EXPECT_NE(fast, exact);
  EXPECT_LT(relative_difference(exact, expected), 2e-6);
}

TEST(Convolution, WinogradStaysWithinItsMemory) {
  RandomValues random(7);
  const Case test = random_winograd(random, 2);
  const graph::LoweredGraph lowered(test.graph);
  cpu::Device device(1, cpu::select_isa(), false, 0);
  const auto used = [&](std::uint64_t allowed) {
    const cpu::Network network(device, lowered.get(), allowed);
    return device.memory.used();
  };
  const std::uint64_t unlimited = used(cpu::Network::kWinogradBytes);
  const std::uint64_t none = used(0);
  EXPECT_GT(unlimited, 3 * none);
  // One layer of 36 numbers per pair of channels: allowed to the byte, or not at all.
  const auto& in = test.graph.values[0];
  const auto& weight = test.graph.constants[0];
  const std::uint64_t bytes = 36 * 4 * static_cast<std::uint64_t>(in.channels * weight.dims[0]);
  EXPECT_EQ(used(bytes), unlimited);
  EXPECT_EQ(used(bytes - 1), none);
}

TEST(Convolution, WinogradServesTheLargestMapsFirst) {
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
