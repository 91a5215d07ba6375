// Test of the table of results that depend on a sample's time alone, and of evaluations without allocations.
#include <gtest/gtest.h>

#include <numeric>

#include "allocations.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

using graph::Graph;

/// A graph of an image and a convolution to which a projection of the time and the label is added, like a network's
/// residual blocks.
class TimedGraph {
 public:
  TimedGraph(int channels, int size, int classes = 3) : channels_(channels), size_(size) {
    const int image = maker_.image(channels, size, size);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{16});
    const int embedding = maker_.sum(sinusoid, maker_.row(maker_.label(), classes, 16));
    const int projection = maker_.convolution(embedding, channels, {}, 1);
    const int h = maker_.convolution(maker_.enter(image), channels, same_size(3), 0.05F);
    maker_.output(maker_.affine(maker_.add(DPM_OP_CHANNEL_ADD, {h, projection}), 0.5F));
  }

  [[nodiscard]] const Graph& graph() const { return maker_.graph(); }

  [[nodiscard]] GraphInputs inputs(const std::vector<float>& times, const std::vector<std::int32_t>& labels) const {
    RandomValues random(5);
    return {random.normals(times.size() * static_cast<std::size_t>(channels_ * size_ * size_)), times, labels};
  }

 private:
  int channels_;
  int size_;
  RandomValues random_{1};
  GraphMaker maker_{random_};
};

TEST(TimeTable, GivesWhatTheNodesWould) {
  const TimedGraph timed(64, 8);
  const auto device = Device::open("cpu", {2, false});
  LoadedGraph loaded(device, timed.graph(), 3, true);
  const std::vector<GraphInputs> evaluations = {
      timed.inputs({1, 500, 999}, {0, 1, 2}),    timed.inputs({1, 500, 999}, {0, 1, 2}),
      timed.inputs({999, 1, 500}, {2, 0, 1}),    timed.inputs({1, 500, 999}, {1, 1, 2}),
      timed.inputs({500, 500, 1.5F}, {1, 1, 0}), timed.inputs({500}, {1}),
  };
  for (const GraphInputs& inputs : evaluations) {
    const auto batch = static_cast<int>(inputs.time.size());
    loaded.bind(inputs, batch);
    loaded.run();
    EXPECT_EQ(loaded.output(), run_graph(device, timed.graph(), batch, inputs, true));
  }
}

TEST(TimeTable, TellsEveryClassFromTheOthers) {
  const TimedGraph timed(4, 2, 65538);
  const auto device = Device::open("cpu", {1, false});
  const GraphInputs inputs = timed.inputs({500, 500, 500}, {1, 257, 65537});
  const std::vector<float> expected = run_graph(Device::open("reference", {}), timed.graph(), 3, inputs, false);
  LoadedGraph loaded(device, timed.graph(), 3, true);
  loaded.bind(inputs, 3);
  // The second run takes the results from the table.
  for (int i = 0; i < 2; ++i) {
    loaded.run();
    EXPECT_LT(relative_difference(loaded.output(), expected), 1e-5) << "run " << i;
  }
}

TEST(TimeTable, DoesNotGrowWithoutBound) {
  const TimedGraph timed(256, 1);
  const auto device = Device::open("cpu", {1, false});
  LoadedGraph loaded(device, timed.graph(), 1, true);
  const auto run = [&](float time) {
    loaded.bind(timed.inputs({time}, {0}), 1);
    loaded.run();
  };
  run(-1);
  const std::uint64_t before = device->memory().host;
  std::uint64_t most = 0;
  for (int i = 0; i < 40'000; ++i) {
    run(static_cast<float>(i));
    most = std::max(most, device->memory().host - before);
  }
  EXPECT_GT(most, std::uint64_t{30} << 20);
  EXPECT_LT(most, std::uint64_t{33} << 20);
}

/// A graph with rows of 256 KiB, of which the table holds 128.
class WideRows {
 public:
  static constexpr int kChannels = 65536;

  WideRows() {
    const int image = maker_.image(kChannels, 1, 1);
    const int sinusoid = maker_.add(DPM_OP_TIME_EMBEDDING, {maker_.time()}, graph::TimeEmbedding{16});
    const int projection = maker_.convolution(sinusoid, kChannels, {}, 1);
    maker_.output(maker_.affine(maker_.add(DPM_OP_CHANNEL_ADD, {maker_.enter(image), projection}), 0.5F));
  }

  [[nodiscard]] const Graph& graph() const { return maker_.graph(); }

  /// Returns inputs with times that no other `first` has.
  [[nodiscard]] static GraphInputs inputs(int first, int batch) {
    RandomValues random(5);
    std::vector<float> times(static_cast<std::size_t>(batch));
    std::iota(times.begin(), times.end(), static_cast<float>(first));
    return {random.normals(times.size() * kChannels), times, {}};
  }

 private:
  RandomValues random_{1};
  GraphMaker maker_{random_};
};

TEST(TimeTable, MakesRoomForAWholeBatch) {
  const WideRows wide;
  const auto device = Device::open("cpu", {1, false});
  LoadedGraph loaded(device, wide.graph(), 100, true);
  const auto held_after = [&](int first) {
    loaded.bind(WideRows::inputs(first, 100), 100);
    loaded.run();
    return device->memory().host;
  };
  const std::uint64_t held = held_after(0);
  EXPECT_EQ(held_after(100), held);
  EXPECT_EQ(held_after(200), held);
}

TEST(TimeTable, LeavesOutBatchesThatItCannotHold) {
  const WideRows wide;
  const auto device = Device::open("cpu", {1, false});
  LoadedGraph loaded(device, wide.graph(), 130, true);
  for (const int batch : {2, 130, 2}) {
    const GraphInputs inputs = WideRows::inputs(0, batch);
    loaded.bind(inputs, batch);
    loaded.run();
    EXPECT_EQ(loaded.output(), run_graph(device, wide.graph(), batch, inputs, true)) << batch;
  }
}

TEST(Evaluation, AllocatesNothing) {
  const TimedGraph timed(64, 8);
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      if (dtype == DType::kBFloat16 && isa != "amx" && isa != "avx512bf16") continue;
      LoadedGraph loaded(Device::open("cpu", {2, false, dtype}), timed.graph(), 2, true);
      loaded.bind(timed.inputs({1, 2}, {0, 1}), 2);
      loaded.run();
      const std::uint64_t before = allocations();
      loaded.run();
      EXPECT_EQ(allocations() - before, 0U) << isa;
    }
  }
}

}  // namespace
}  // namespace dpm::test
