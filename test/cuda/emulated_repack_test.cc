// Test of what the emulated card queues to pack weights that move.
#include <cstdint>

#include "cuda_device.h"
#include "engine/parameters.h"
#include "graph/passes/derivatives.h"
#include "graph_maker.h"

namespace dpm::test {
namespace {

class EmulatedRepack : public CudaDevice {};

/// A convolution whose weights a second node reads, too, if `is_shared`.
graph::Graph of_convolutions(RandomValues& random, bool is_shared) {
  GraphMaker maker(random);
  int x = maker.convolution(maker.image(4, 6, 6), 4, same_size(3));
  if (is_shared) {
    graph::Node again = graph::make_node(DPM_OP_CONVOLUTION, "again", {maker.silu(x)}, same_size(3));
    again.weights = maker.graph().nodes.front().weights;
    x = maker.add(std::move(again));
  }
  maker.output(x);
  return maker.graph();
}

TEST_F(EmulatedRepack, PacksWeightsOnceThatSeveralNodesRead) {
  RandomValues random(5);
  const auto kernels = [&](bool is_shared) {
    graph::Graph graph = of_convolutions(random, is_shared);
    Parameters parameters(device_, graph, graph::differentiable_constants(graph));
    parameters.claim(graph);
    Network network(device_, graph, {});
    emulation().reset_counters();
    parameters.pack(network);
    return emulation().counters().kernels;
  };
  const std::uint64_t once = kernels(false);
  EXPECT_GT(once, 0U);
  EXPECT_EQ(kernels(true), once);
}

}  // namespace
}  // namespace dpm::test
