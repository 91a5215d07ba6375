// Whole networks, made up at random, on every instruction set against the reference device: the passes over the graph,
// the plan of the memory and the kernels together.
#include "unet/random_unet.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "unet/builder.h"

namespace dpm::test {
namespace {

TEST(RandomUNets, AgreeWithTheReference) {
  const WeightFile file;
  const auto reference = Device::open("reference", {});
  int compared = 0;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 generator(seed);
    const auto choose = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); };
    const RandomUNet network(choose, file, false);
    std::vector<float> expected;
    // An odd side does not come back to itself through the U.
    const ErrorCode code = code_of([&] { expected = network.run(reference); });
    if (code != ErrorCode::kOk) {
      EXPECT_TRUE(network.description().height % 4 != 0 || network.description().width % 4 != 0) << seed;
      continue;
    }
    ++compared;
    for (const std::string& isa : usable_isas()) {
      const ScopedEnvironment forced("DPM_CPU_ISA", isa);
      const auto difference = [&](bool exact, DType dtype) {
        return relative_difference(network.run(Device::open("cpu", {2, exact, dtype})), expected);
      };
      EXPECT_LT(difference(true, DType::kFloat32), 2e-5) << isa << ", seed " << seed;
      EXPECT_LT(difference(false, DType::kFloat32), 5e-5) << isa << ", seed " << seed;
      if (isa == "amx" || isa == "avx512bf16") {
        EXPECT_LT(difference(false, DType::kBFloat16), 3e-2) << isa << ", seed " << seed;
      }
    }
  }
  EXPECT_GT(compared, 20);
}

TEST(UNet, LacksNoWeightAndPopsWhatItPushed) {
  unet::Description description;
  description.in_channels = 2;
  description.height = description.width = 8;
  description.time_channels = 8;
  description.output_groups = 4;
  EXPECT_EQ(code_of([&] { unet::build_graph(description, {}); }), ErrorCode::kTensorMissing);
  const WeightFile file;
  Weights weights;
  weights.add_file(file.path());
  std::uint64_t offset = 0;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    std::uint64_t bytes = 4;
    for (const std::int64_t dim : shape) bytes *= static_cast<std::uint64_t>(dim);
    weights.add({name, 0, DType::kFloat32, shape, offset, bytes});
    offset += bytes;
  };
  for (const auto& [name, shape] :
       std::vector<std::pair<std::string, std::vector<std::int64_t>>>{{"time_embedding.linear_1", {16, 8}},
                                                                      {"time_embedding.linear_2", {16, 16}},
                                                                      {"conv_in", {8, 2, 3, 3}},
                                                                      {"conv_norm_out", {8}},
                                                                      {"conv_out", {2, 8, 3, 3}}}) {
    add(name + ".weight", shape);
    add(name + ".bias", {shape[0]});
  }
  EXPECT_EQ(code_of([&] { unet::build_graph(description, weights); }), ErrorCode::kOk);
  description.blocks.resize(1);
  EXPECT_EQ(code_of([&] { unet::build_graph(description, weights); }), ErrorCode::kArgument);
  description.blocks[0].kind = unet::Block::Kind::kPop;
  EXPECT_EQ(code_of([&] { unet::build_graph(description, weights); }), ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
