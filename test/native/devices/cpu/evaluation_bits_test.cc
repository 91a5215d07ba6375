// Test of one evaluation of a small network whose weights are fractions of powers of two:
// test/package/platforms/evaluation.mjs runs the same network by the addon of a prebuild, which has to give the same
// bits.
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "bits_of.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

constexpr int kBatch = 2;
constexpr int kImage = 100;

std::vector<float> fractions(int which, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<int>((i * 37 + static_cast<std::size_t>(which) * 101) % 64) - 32) / 128;
  }
  return values;
}

std::vector<float> evaluate(const std::string& isa) {
  RandomValues random(1);
  GraphMaker maker(random);
  int x = maker.image(8, 8, 8);
  x = maker.silu(maker.norm(maker.bias(maker.convolution(x, 16, same_size(3))), 4));
  const int query = maker.convolution(x, 16, same_size(1));
  const int key = maker.convolution(x, 16, same_size(1));
  const int value = maker.convolution(x, 16, same_size(1));
  x = maker.sum(maker.attention(query, key, value, 2), x);
  maker.output(maker.bias(maker.convolution(x, 8, same_size(3))));
  graph::Graph graph = maker.graph();
  std::deque<std::vector<float>> constants;
  for (graph::Constant& constant : graph.constants) {
    constants.push_back(fractions(static_cast<int>(constants.size()), static_cast<std::size_t>(constant.elements())));
    constant.data = constants.back().data();
  }
  const ScopedEnvironment chosen("DPM_CPU_ISA", isa);
  return run_graph(Device::open("cpu", {1, false}), graph, kBatch, {fractions(kImage, 1024), {1, 1}, {}}, true);
}

TEST(EvaluationBits, AreThoseOfThePrebuilds) {
  const std::map<std::string, std::uint64_t> known = {
#define DPM_BITS(isa, bits) {#isa, bits},
#include "evaluation_bits.inc"
#undef DPM_BITS
  };
#if defined(DPM_BUILT_BY_ZIG)
  constexpr bool kIsPrebuild = true;
#else
  constexpr bool kIsPrebuild = false;
#endif
  const std::vector<float> plainest = evaluate(usable_isas().back());
  for (const std::string& isa : usable_isas()) {
    const std::vector<float> values = evaluate(isa);
    ASSERT_EQ(values.size(), 1024U);
    // Another compiler sums in another order, but its result is close.
    EXPECT_LT(relative_difference(values, plainest), 1e-5) << isa;
    const auto found = known.find(isa);
    if (kIsPrebuild && found != known.end()) {
      EXPECT_EQ(bits_of(values), found->second) << isa;
    }
  }
}

}  // namespace
}  // namespace dpm::test
