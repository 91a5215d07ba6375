// Constants that are replaced in a loaded network.
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

/// Every kind of weight: Fourier features, tables, a norm, biases, stacked products, convolutions of either size,
/// matrices of both axes.
graph::Graph weighted(RandomValues& random) {
  GraphMaker maker(random);
  const int image = maker.image(3, 8, 8);
  graph::Node features = graph::make_node(DPM_OP_TIME_EMBEDDING, "features", {maker.time()}, graph::TimeEmbedding{16});
  features.weights = {maker.constant({8}, 0.01F)};
  const int embedding = maker.sum(maker.add(features), maker.row(maker.label(), 3, 16));
  const auto product = [&](int input) { return maker.bias(maker.convolution(input, 64, {})); };
  int x = maker.bias(maker.convolution(image, 64, same_size(3)));
  x = maker.add(DPM_OP_CHANNEL_ADD, {x, product(embedding)});
  x = maker.position(maker.separable(x, 8, 8));
  const int h = maker.silu(maker.norm(x, 4));
  const int query = product(h);
  // A bias of the keys would have no effect.
  const int key = maker.convolution(h, 64, {});
  const int value = product(h);
  x = maker.sum(x, product(maker.attention(query, key, value, 2)));
  x = maker.bias(maker.convolution(x, 64, same_size(3)));
  maker.output(maker.bias(maker.convolution(maker.bias(maker.silu(x)), 2, same_size(3))));
  return maker.graph();
}

class Refresh : public testing::TestWithParam<const char*> {
 protected:
  static GraphInputs inputs() {
    RandomValues random(3);
    return {random.normals(2 * std::size_t{3} * 64), {0.5F, 7}, {2, 0}};
  }

  static std::vector<float> output_of(LoadedGraph& loaded) {
    loaded.bind(inputs(), 2);
    loaded.run();
    return loaded.output();
  }

  static void compare_all(const std::shared_ptr<Device>& device, bool fused) {
    RandomValues random(1);
    graph::Graph graph = weighted(random);
    LoadedGraph loaded(device, graph, 2, fused);
    std::vector<float> before = output_of(loaded);
    for (std::size_t i = 0; i < graph.constants.size(); ++i) {
      graph.constants[i] = random.constant(graph.constants[i].dims, 0.3F, 0.1F);
      loaded.refresh(i, graph.constants[i]);
      const std::vector<float> after = output_of(loaded);
      EXPECT_NE(after, before) << "constant " << i << " has no effect";
      LoadedGraph fresh(device, graph, 2, fused);
      EXPECT_EQ(after, output_of(fresh)) << "constant " << i;
      before = after;
    }
  }
};

TEST_P(Refresh, EqualsLoadingAnew) {
  if (std::string(GetParam()) == "reference") return compare_all(Device::open("reference", {}), false);
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    SCOPED_TRACE(isa);
    for (const bool exact : {false, true}) compare_all(Device::open("cpu", {2, exact}), true);
    if (isa == "amx" || isa == "avx512bf16") compare_all(Device::open("cpu", {2, false, DType::kBFloat16}), true);
  }
}

TEST_P(Refresh, RefusesWhatDoesNotFit) {
  RandomValues random(1);
  const graph::Graph graph = weighted(random);
  LoadedGraph loaded(Device::open(GetParam(), {}), graph, 2, false);
  const std::vector<float> before = output_of(loaded);
  std::vector<std::int64_t> dims = graph.constants[0].dims;
  dims[0] += 1;
  EXPECT_EQ(code_of([&] { loaded.refresh(0, random.constant(dims)); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { loaded.refresh(graph.constants.size(), graph.constants[0]); }), ErrorCode::kArgument);
  EXPECT_EQ(output_of(loaded), before);
}

INSTANTIATE_TEST_SUITE_P(Devices, Refresh, testing::Values("reference", "cpu"),
                         [](const auto& info) { return std::string(info.param); });

TEST(RefreshOnCards, IsNotThereYet) { EXPECT_EQ(Device::open("cuda:0", {})->api().refresh, nullptr); }

}  // namespace
}  // namespace dpm::test
