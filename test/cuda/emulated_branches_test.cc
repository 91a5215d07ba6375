// Test of layers that run beside others: the numbers are the same whether they run as early or as late as they may.
#include <algorithm>
#include <random>

#include "cuda_device.h"
#include "graph_maker.h"
#include "random_graph.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

/// Sets when branches run, for the lifetime of the object.
class BranchOrder {
 public:
  explicit BranchOrder(simt::BranchOrder order) { emulation().set_branch_order(order); }
  ~BranchOrder() { emulation().set_branch_order(simt::BranchOrder::kLate); }
  BranchOrder(const BranchOrder&) = delete;
  BranchOrder& operator=(const BranchOrder&) = delete;
};

constexpr simt::BranchOrder kOrders[] = {simt::BranchOrder::kLate, simt::BranchOrder::kEarly,
                                         simt::BranchOrder::kInterleaved};

#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kProducts[] = {"bare"};
#else
constexpr const char* kProducts[] = {"bare", "all", "none"};
#endif

/// Makes three blocks, each of which changes the number of channels and so has a shortcut. Norms of large maps take two
/// kernels and scratch memory.
graph::Graph blocks(RandomValues& random, int side) {
  GraphMaker maker(random);
  int x = maker.convolution(maker.image(2, side, side), 4, same_size(3));
  const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{12});
  for (const int channels : {8, 12, 4}) {
    const int first = maker.convolution(maker.silu(maker.norm(x, 2, 1e-6F)), channels, same_size(3));
    const int added = maker.add(DPM_OP_CHANNEL_ADD, {first, maker.convolution(vector, channels, same_size(1))});
    const int shortcut = maker.bias(maker.convolution(x, channels, same_size(1)));
    const int second = maker.bias(maker.convolution(maker.silu(maker.norm(added, 2, 1e-6F)), channels, same_size(3)));
    x = maker.sum(second, shortcut);
  }
  maker.output(maker.convolution(x, 2, same_size(3)));
  return maker.graph();
}

class EmulatedBranches : public CudaDevice {
 protected:
  std::vector<float> images(Network& network) {
    RunRequest run = uniform_request(3, 3);
    for (SampleIdentity& sample : run.samples) sample.label = -1;
    return run_programs(network, run, running_).images.floats;
  }
  Network network(const std::shared_ptr<Device>& device) { return {device, graph_, NetworkOptions{0, false, {}}}; }

  RandomValues random_{21};
  graph::Graph graph_ = blocks(random_, 8);
  std::atomic<bool> running_{false};
};

TEST_F(EmulatedBranches, AreTakenByShortcuts) {
  graph::Graph fused = graph_;
  graph::fuse(fused, supports_of(*device_));
  const auto is_beside = [](const graph::Node& node) {
    return node.op == DPM_OP_CONVOLUTION && graph::attributes<graph::Convolution>(node).beside;
  };
  EXPECT_EQ(std::count_if(fused.nodes.begin(), fused.nodes.end(), is_beside), 3);
}

TEST_F(EmulatedBranches, MayComeEarlyOrLate) {
  Network reference = network(Device::open("reference", {}));
  const std::vector<float> expected = images(reference);
  for (const char* products : kProducts) {
    const ScopedEnvironment chosen("DPM_EMULATED_PRODUCTS", products);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      std::vector<float> first;
      for (const simt::BranchOrder when : kOrders) {
        const BranchOrder order(when);
        Network made = network(open(dtype));
        // The runs are piece by piece, then as graphs of steps, then as one graph.
        for (int i = 0; i < 4; ++i) {
          const std::vector<float> actual = images(made);
          if (first.empty()) first = actual;
          EXPECT_EQ(actual, first) << products << ", order " << static_cast<int>(when) << ", run " << i;
        }
      }
      EXPECT_LT(relative_difference(first, expected), dtype == DType::kFloat32 ? 2e-4 : 5e-2) << products;
    }
  }
}

TEST_F(EmulatedBranches, GiveTheSameWhateverTheOrderOfThreads) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    std::vector<float> first;
    for (const std::uint32_t seed : {0U, 1U, 2U}) {
      emulation().set_thread_order(seed);
      Network made = network(open(dtype));
      const std::vector<float> actual = images(made);
      emulation().set_thread_order(0);
      if (first.empty()) first = actual;
      EXPECT_EQ(actual, first) << static_cast<int>(dtype) << ", order " << seed;
    }
  }
}

TEST_F(EmulatedBranches, HaveScratchMemoryOfTheirOwn) {
  graph_ = blocks(random_, 72);
  const std::vector<float> image = random_.normals(2 * 72 * 72);
  std::vector<float> late;
  for (const simt::BranchOrder when : kOrders) {
    const BranchOrder order(when);
    const std::vector<float> actual = run_graph(device_, graph_, 1, {image, {300}, {}}, true);
    if (late.empty()) late = actual;
    EXPECT_EQ(actual, late) << static_cast<int>(when);
  }
}

TEST_F(EmulatedBranches, OfRandomGraphsChangeNothing) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::vector<float> late;
    for (const simt::BranchOrder when : kOrders) {
      const BranchOrder order(when);
      std::mt19937 generator(seed);
      const RandomGraph made([&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); },
                             RandomGraph::kAnyOperation);
      const std::vector<float> actual = made.run(device_);
      if (late.empty()) late = actual;
      EXPECT_EQ(actual, late) << seed;
    }
  }
}

}  // namespace
}  // namespace dpm::test
