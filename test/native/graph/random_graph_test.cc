// Test of random graphs on every instruction set against the reference device: the passes over the graph, the plan of
// the memory and the kernels together.
#include "random_graph.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>

#include "core/error.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

RandomGraph graph_of(std::uint32_t seed, RandomGraph::Kind kind) {
  const auto generator = std::make_shared<std::mt19937>(seed);
  return {[generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(*generator); }, kind};
}

TEST(RandomGraphs, AgreeWithTheReference) {
  const auto reference = Device::open("reference", {});
  std::set<dpm_op> covered;
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const RandomGraph made = graph_of(seed, RandomGraph::kAnyOperation);
    for (const graph::Node& node : made.graph().nodes) covered.insert(node.op);
    const std::vector<float> expected = made.run(reference);
    for (const std::string& isa : usable_isas()) {
      const ScopedEnvironment forced("DPM_CPU_ISA", isa);
      const auto difference = [&](bool exact, DType dtype) {
        return relative_difference(made.run(Device::open("cpu", {2, exact, dtype})), expected);
      };
      EXPECT_LT(difference(true, DType::kFloat32), 5e-5) << isa << ", seed " << seed;
      EXPECT_LT(difference(false, DType::kFloat32), 1e-4) << isa << ", seed " << seed;
      if (isa == "amx" || isa == "avx512bf16") {
        EXPECT_LT(difference(false, DType::kBFloat16), 6e-2) << isa << ", seed " << seed;
      }
    }
  }
  const int derivatives = DPM_OP_ATTENTION_TANGENT - DPM_OP_ZERO_UPSAMPLE + 1 + DPM_OP_SQUARE_SCORE -
                          DPM_OP_LABEL_SCORE + 1 + DPM_OP_GEGLU_BACKWARD - DPM_OP_LAYER_NORM_BACKWARD + 1;
  EXPECT_EQ(covered.size(), static_cast<std::size_t>(DPM_OP_COUNT - derivatives))
      << "every operation but those of derivatives is reached";
}

TEST(RandomGraphs, SpoiltOnesAreRefusedOrRun) {
  const auto device = Device::open("cpu", {1, false});
  int refused = 0;
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    const RandomGraph made = graph_of(seed, RandomGraph::kHostile);
    const ErrorCode code = code_of([&] { EXPECT_FALSE(made.run(device).empty()); });
    EXPECT_TRUE(code == ErrorCode::kOk || code == ErrorCode::kArgument || code == ErrorCode::kTensorShape ||
                code == ErrorCode::kUnsupported)
        << error_code_name(code) << ", seed " << seed;
    refused += code != ErrorCode::kOk ? 1 : 0;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace dpm::test
