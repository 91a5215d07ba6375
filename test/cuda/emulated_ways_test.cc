// Test of convolutions of small maps that include the norm before them: when they do, and that nothing else changes.
#include <algorithm>

#include "cuda_device.h"
#include "graph_maker.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr double kTolerance = 3e-2;

/// Makes a block with enough channels for tensor cores, and norms whose result is read by one convolution, or also by a
/// sum.
graph::Graph block(RandomValues& random, int side, bool shares_norm) {
  GraphMaker maker(random);
  const int x = maker.bias(maker.convolution(maker.image(2, side, side), 16, same_size(3)));
  const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{16});
  const int normed = maker.silu(maker.norm(x, 4, 1e-6F));
  int first = maker.bias(maker.convolution(normed, 16, same_size(3)));
  if (shares_norm) first = maker.sum(first, normed);
  const int added = maker.add(DPM_OP_CHANNEL_ADD, {first, maker.convolution(vector, 16, same_size(1))});
  const int second = maker.bias(maker.convolution(maker.silu(maker.norm(added, 4, 1e-6F)), 16, same_size(3)));
  maker.output(maker.convolution(maker.affine(maker.sum(second, x), 0.75F), 2, same_size(3)));
  return maker.graph();
}

class EmulatedWays : public CudaDevice {
 protected:
  std::vector<float> images(Network& network, std::uint32_t count) {
    RunRequest run = uniform_request(count, count);
    for (SampleIdentity& sample : run.samples) sample.label = -1;
    return run_programs(network, run, running_).images.floats;
  }
  /// Counts the kernels of a whole trajectory that needs no more preparation.
  std::uint64_t kernels(Network& network, std::uint32_t count) {
    for (int i = 0; i < 2; ++i) images(network, count);
    emulation().reset_counters();
    images(network, count);
    return emulation().counters().kernels;
  }
  std::unique_ptr<Network> load(const graph::Graph& graph, DType dtype, bool autotune = false) {
    DeviceOptions options;
    options.dtype = dtype;
    options.autotune = autotune;
    return std::make_unique<Network>(Device::open("cuda:0", options), graph, NetworkOptions{0, false, {}});
  }

  RandomValues random_{5};
  std::atomic<bool> running_{false};
};

TEST_F(EmulatedWays, TakeFewerKernelsAndGiveTheSame) {
  for (const bool shares_norm : {false, true}) {
    const graph::Graph graph = block(random_, 6, shares_norm);
    const auto reference =
        std::make_unique<Network>(Device::open("reference", {}), graph, NetworkOptions{0, false, {}});
    const std::vector<float> expected = images(*reference, 2);
    for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
      const auto small = load(graph, dtype);
      EXPECT_LT(relative_difference(images(*small, 2), expected), kTolerance);
      const std::uint64_t taken = kernels(*small, 2);
      const ScopedEnvironment off("DPM_CUDA_SMALL", "off");
      const auto usual = load(graph, dtype);
      EXPECT_LT(relative_difference(images(*usual, 2), expected), kTolerance);
      // Seven steps evaluate. Kernels vanish for norms that are read by one convolution only, and for the operations
      // after convolutions.
      const std::uint64_t norms = shares_norm ? 1 : 2;
      EXPECT_GE(kernels(*usual, 2), taken + 7 * (norms + 2)) << "shares a norm: " << shares_norm;
    }
  }
}

TEST_F(EmulatedWays, ReadWhatTheirNormWouldHaveRead) {
  EXPECT_TRUE(device_->placement_rules().norms_are_joined);
  GraphMaker maker(random_);
  const int image = maker.image(2, 6, 6);
  const int left = maker.convolution(image, 16, same_size(3));
  const int right = maker.convolution(image, 16, same_size(3));
  const int both = maker.add(DPM_OP_CONCAT, {left, right});
  const int first = maker.convolution(maker.silu(maker.norm(both, 4, 1e-6F)), 16, same_size(3));
  // The node is the last reader of one of the maps side by side, whose place is free from then on.
  const int second = maker.convolution(maker.silu(maker.norm(left, 4, 1e-6F)), 16, same_size(3));
  maker.output(maker.convolution(maker.sum(second, first), 2, same_size(3)));
  const GraphInputs inputs{random_.normals(3 * 2 * 36), {}, {}};
  const std::vector<float> expected = run_graph(Device::open("reference", {}), maker.graph(), 3, inputs, false);
  EXPECT_LT(relative_difference(run_graph(open(DType::kBFloat16), maker.graph(), 3, inputs, true), expected),
            kTolerance);
}

TEST_F(EmulatedWays, OfOneBatchAreNotThoseOfAnother) {
  // Sixteen samples have more pixels than the kernel takes.
  const graph::Graph graph = block(random_, 9, false);
  const auto network = load(graph, DType::kBFloat16);
  network->reserve(16);
  const auto reference = std::make_unique<Network>(Device::open("reference", {}), graph, NetworkOptions{0, false, {}});
  for (const std::uint32_t count : {16U, 2U, 16U, 1U}) {
    EXPECT_LT(relative_difference(images(*network, count), images(*reference, count)), kTolerance) << count;
  }
}

TEST_F(EmulatedWays, AreMeasuredWhereThatIsWanted) {
  const graph::Graph graph = block(random_, 6, false);
  const auto reference = std::make_unique<Network>(Device::open("reference", {}), graph, NetworkOptions{0, false, {}});
  const auto tuned = load(graph, DType::kBFloat16, true);
  const std::uint64_t before = emulation().counters().captures;
  EXPECT_LT(relative_difference(images(*tuned, 2), images(*reference, 2)), kTolerance);
  EXPECT_GT(emulation().counters().captures, before + 4) << "each way is timed as a graph";
}

TEST_F(EmulatedWays, AreNotThoseOfFloat32) {
  const graph::Graph graph = block(random_, 6, false);
  const std::uint64_t with = kernels(*load(graph, DType::kFloat32), 2);
  const ScopedEnvironment off("DPM_CUDA_SMALL", "off");
  EXPECT_EQ(kernels(*load(graph, DType::kFloat32), 2), with);
}

}  // namespace
}  // namespace dpm::test
