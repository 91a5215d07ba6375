// Test that results of times and labels alone are computed once per trajectory: in fewer kernels, and never from old
// values.
#include <algorithm>

#include "cuda_device.h"
#include "engine/parameters.h"
#include "graph/passes/derivatives.h"
#include "graph_maker.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

/// Makes a network of the image and of two vectors computed from the time, which are not read side by side.
graph::Graph timed_graph(RandomValues& random) {
  GraphMaker maker(random);
  const int image = maker.image(2, SmallNetwork::kSide, SmallNetwork::kSide);
  const int sinusoid = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{8, 1.0F});
  const int embedded = maker.silu(maker.bias(maker.convolution(sinusoid, 16, same_size(1))));
  int map = maker.convolution(image, 8, same_size(3));
  map = maker.add(DPM_OP_CHANNEL_ADD, {map, maker.convolution(embedded, 8, same_size(1))});
  map = maker.silu(map);
  map = maker.add(DPM_OP_CHANNEL_ADD, {map, maker.convolution(maker.silu(embedded), 8, same_size(1))});
  maker.output(maker.convolution(map, 2, same_size(3)));
  return maker.graph();
}

class EmulatedConditions : public CudaDevice {
 protected:
  std::unique_ptr<Network> timed(const std::shared_ptr<Device>& device) {
    return std::make_unique<Network>(device, timed_, NetworkOptions{0, false, {}});
  }
  std::vector<float> images(Network& network, const RunRequest& request) {
    return run_programs(network, request, running_).images.floats;
  }
  std::uint64_t kernels(Network& network, const RunRequest& request) {
    emulation().reset_counters();
    images(network, request);
    return emulation().counters().kernels;
  }

  /// Opens a device on a GPU whose 256th part cannot hold a table of conditions.
  static std::shared_ptr<Device> small_card() { return open_on_card_of(std::size_t{180} << 10); }

  static RunRequest without_labels(RunRequest request) {
    for (SampleIdentity& sample : request.samples) sample.label = -1;
    return request;
  }

  RandomValues random_{11};
  graph::Graph timed_ = timed_graph(random_);
  SmallNetwork labelled_;
  std::atomic<bool> running_{false};
};

TEST_F(EmulatedConditions, TakeNoKernelsInAStep) {
  // Each node is one kernel.
  const ScopedEnvironment chosen("DPM_EMULATED_PRODUCTS", "all");
  graph::Graph fused = labelled_.graph();
  graph::fuse(fused, supports_of(*open(DType::kFloat32)));
  const auto makes_map = [&](const graph::Node& node) {
    return fused.values[static_cast<std::size_t>(node.output())].height > 1;
  };
  const auto maps = static_cast<std::uint64_t>(std::count_if(fused.nodes.begin(), fused.nodes.end(), makes_map));
  ASSERT_LT(maps + 4, fused.nodes.size());
  const auto run_of = [](std::uint32_t steps) {
    RunRequest run = uniform_request(3, 3);
    run.records.assign(steps, run.records[5]);
    for (std::uint32_t i = 0; i < steps; ++i) run.records[i].time = static_cast<float>(i % 8 + 1);
    run.programs[1] = run.programs[0] = {0, steps, 2, 1.0F};
    return run;
  };
  const auto network = labelled_.load("cuda:0");
  images(*network, run_of(16));
  const std::uint64_t eight_more = kernels(*network, run_of(16)) - kernels(*network, run_of(8));
  EXPECT_EQ(eight_more, 8 * (maps + 2));
}

TEST_F(EmulatedConditions, ThatTakeTooMuchMemoryAreComputedInEveryStep) {
  const RunRequest run = uniform_request(3, 3);
  const std::vector<float> expected = images(*labelled_.load("cuda:0"), run);
  Network step_by_step(small_card(), labelled_.graph(), SmallNetwork::options());
  for (int i = 0; i < 3; ++i) EXPECT_LT(relative_difference(images(step_by_step, run), expected), 1e-5);
}

TEST_F(EmulatedConditions, FollowFromTheTimesOfTheirRun) {
  const auto reference = timed(Device::open("reference", {}));
  const auto network = timed(device_);
  RunRequest run = without_labels(uniform_request(3, 3));
  const std::vector<float> first = images(*network, run);
  EXPECT_LT(relative_difference(first, images(*reference, run)), 2e-4);
  for (dpm_record& record : run.records) record.time += 11;
  const std::vector<float> other = images(*network, run);
  EXPECT_LT(relative_difference(other, images(*reference, run)), 2e-4);
  EXPECT_NE(other, first);
  for (dpm_record& record : run.records) record.time -= 11;
  EXPECT_EQ(images(*network, run), first);
}

TEST_F(EmulatedConditions, MoveWithTheirMemory) {
  const auto network = timed(device_);
  const RunRequest many = without_labels(uniform_request(3, 3));
  RunRequest few = many;
  for (dpm_record& record : few.records) record.time = 500;
  const std::vector<float> expected = images(*network, few);
  // The runs are repeated until the graphs are captured.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(images(*network, few), expected);
  images(*network, many);
  EXPECT_EQ(images(*network, few), expected);
}

TEST_F(EmulatedConditions, OfTheSameTimesAreKept) {
  const auto network = timed(device_);
  const RunRequest run = without_labels(uniform_request(3, 3));
  for (int i = 0; i < 3; ++i) images(*network, run);
  const std::uint64_t again = kernels(*network, run);
  RunRequest other = run;
  for (dpm_record& record : other.records) record.time += 1;
  EXPECT_GT(kernels(*network, other), again + 3);
}

TEST_F(EmulatedConditions, FollowWeightsThatMove) {
  const std::vector<int> learned = graph::differentiable_constants(timed_);
  Parameters parameters(device_, timed_, learned);
  graph::Graph claimed = timed_;
  parameters.claim(claimed);
  Network moving(device_, claimed, NetworkOptions{0, false, {}});
  parameters.pack(moving);
  const RunRequest run = without_labels(uniform_request(3, 3));
  const std::vector<float> before = images(*timed(device_), run);
  // The runs are repeated until the graphs are captured.
  for (int i = 0; i < 3; ++i) EXPECT_LT(relative_difference(images(moving, run), before), 1e-5);
  timed_ = timed_graph(random_);
  std::vector<float> values(parameters.elements());
  Parameters(device_, timed_, learned).read(ParameterTensor::kParameters, values.data());
  parameters.write(ParameterTensor::kParameters, values.data());
  parameters.pack(moving);
  const std::vector<float> after = images(*timed(device_), run);
  EXPECT_GT(relative_difference(after, before), 1e-2);
  EXPECT_LT(relative_difference(images(moving, run), after), 1e-5);
}

TEST_F(EmulatedConditions, FollowFromTheLabelsOfTheirRun) {
  const auto reference = labelled_.load("reference");
  const auto network = labelled_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  for (const std::int32_t label : {0, 2, 1, -1}) {
    for (SampleIdentity& sample : run.samples) sample.label = label;
    EXPECT_LT(relative_difference(images(*network, run), images(*reference, run)), 2e-4) << label;
  }
  for (std::size_t i = 0; i < run.samples.size(); ++i) run.samples[i].label = static_cast<std::int32_t>(i);
  EXPECT_LT(relative_difference(images(*network, run), images(*reference, run)), 2e-4);
}

TEST_F(EmulatedConditions, OfManyStepsAreComputedPartByPart) {
  constexpr std::uint32_t kManySteps = 300;
  RunRequest run = without_labels(uniform_request(1, 1));
  run.records.assign(kManySteps, run.records[5]);
  for (std::uint32_t i = 0; i < kManySteps; ++i) {
    run.records[i].time = static_cast<float>(3 * i + 1);
    run.records[i].x_history[1] = 0;
  }
  run.programs[1] = {0, kManySteps, 2, 1.0F};
  run.programs[0] = run.programs[1];
  const std::vector<float> expected = images(*timed(Device::open("reference", {})), run);
  EXPECT_LT(relative_difference(images(*timed(device_), run), expected), 2e-4);
  // The second part of the rows does not begin with the first sample where there are labels.
  RunRequest labelled = uniform_request(3, 3);
  labelled.records = run.records;
  labelled.programs[0] = labelled.programs[1] = {0, 100, 2, 1.0F};
  for (std::size_t i = 0; i < labelled.samples.size(); ++i) {
    labelled.samples[i].label = static_cast<std::int32_t>(i);
  }
  EXPECT_LT(
      relative_difference(images(*labelled_.load("cuda:0"), labelled), images(*labelled_.load("reference"), labelled)),
      2e-4);
  // Each sample has times of its own.
  RunRequest two = uniform_request(2, 2);
  two.records.insert(two.records.end(), two.records.begin() + 5, two.records.begin() + 13);
  for (std::size_t i = 13; i < 21; ++i) two.records[i].time *= 0.5F;
  two.programs = {{5, 8, 2, 1.0F}, {13, 8, 2, 1.0F}};
  two.samples[0].program = 0;
  EXPECT_LT(relative_difference(images(*labelled_.load("cuda:0"), two), images(*labelled_.load("reference"), two)),
            2e-4);
}

}  // namespace
}  // namespace dpm::test
