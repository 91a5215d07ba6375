// Test of group norms that are applied by their reader, while another one is in flight.
#include "devices/cpu/layers/deferred_norm.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "graph/lowered.h"
#include "graph/passes/fusion.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

constexpr int kChannels = 16;

/// Normalises two maps of very different size before the first of them is read.
class TwoNorms {
 public:
  TwoNorms() {
    const int image = maker_.image(3, 6, 7);
    const int small = maker_.enter(maker_.convolution(image, kChannels, same_size(3), 0.1F));
    const int large = maker_.enter(maker_.convolution(image, kChannels, same_size(3), 20));
    const int first = maker_.norm(small, 4);
    const int second = maker_.norm(large, 2);
    const int first_read = maker_.convolution(first, kChannels, same_size(3));
    const int second_read = maker_.convolution(second, kChannels, same_size(3));
    // The maps live on, so that their places are no reason against deferring.
    const int normed = maker_.sum(first_read, second_read);
    maker_.leave(maker_.sum(maker_.sum(normed, small), maker_.affine(large, 0.01F)));
    second_ = second;
  }

  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }
  [[nodiscard]] int second() const { return second_; }
  [[nodiscard]] GraphInputs inputs() const {
    RandomValues random(2);
    return {random.normals(2 * graph().values[0].elements()), {}, {}};
  }

 private:
  RandomValues random_{1};
  GraphMaker maker_{random_};
  int second_ = -1;
};

TEST(DeferredNorm, IsTheLastOneOfTwoInFlight) {
  const TwoNorms two;
  const graph::LoweredGraph lowered(two.graph());
  const std::vector<cpu::DeferredNorm> found = cpu::find_deferrable_norms(lowered.get());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].output, two.second());
}

TEST(DeferredNorm, TwoInFlightAreNotConfused) {
  const TwoNorms two;
  const std::vector<float> expected = run_graph(Device::open("reference", {}), two.graph(), 2, two.inputs(), false);
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      if (dtype == DType::kBFloat16 && !has_bf16(isa)) continue;
      for (const bool fused : {false, true}) {
        const auto device = Device::open("cpu", {2, false, dtype});
        const double difference = relative_difference(run_graph(device, two.graph(), 2, two.inputs(), fused), expected);
        EXPECT_LT(difference, dtype == DType::kBFloat16 ? 3e-2 : 5e-5) << isa << ", fused " << fused;
      }
    }
  }
}

TEST(DeferredNorm, NeedsItsInputUntilItIsApplied) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int x = maker.enter(maker.image(kChannels, 4, 4));
  const int norm = maker.norm(x, 4);
  // The result of this node may take the place of x.
  const int last = maker.affine(x, 2);
  maker.leave(maker.sum(maker.convolution(norm, kChannels, same_size(3)), last));
  const graph::LoweredGraph lowered(maker.graph());
  EXPECT_TRUE(cpu::find_deferrable_norms(lowered.get()).empty());
}

TEST(DeferredNorm, IsThereForAResidual) {
  RandomValues random(1);
  GraphMaker maker(random);
  const int norm = maker.norm(maker.enter(maker.image(kChannels, 4, 4)), 4);
  maker.leave(maker.sum(maker.convolution(norm, kChannels, same_size(3)), norm));
  graph::Graph graph = maker.graph();
  graph::fuse(graph, [](const graph::Graph&, const graph::Node&) { return true; });
  const auto reads_twice = [&](const graph::Node& node) {
    return node.op == DPM_OP_CONVOLUTION && std::ranges::count(node.inputs, norm) == 2;
  };
  ASSERT_TRUE(std::ranges::any_of(graph.nodes, reads_twice));
  const graph::LoweredGraph lowered(graph);
  EXPECT_TRUE(cpu::find_deferrable_norms(lowered.get()).empty());
}

}  // namespace
}  // namespace dpm::test
