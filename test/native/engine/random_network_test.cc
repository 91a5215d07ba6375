// Whole networks, made up at random, on every instruction set against the reference device: the passes over the graph,
// the plan of the memory and the kernels together.
#include "random_network.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"

namespace dpm::test {
namespace {

TEST(RandomNetworks, AgreeWithTheReference) {
  const WeightFile file;
  const auto reference = Device::open("reference", {});
  int compared = 0;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 generator(seed);
    const auto choose = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); };
    const RandomNetwork network(choose, file, false);
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

}  // namespace
}  // namespace dpm::test
