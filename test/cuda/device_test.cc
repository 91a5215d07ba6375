// Test of the whole CUDA device against the reference device: networks, updates, reductions, programs.
#include <chrono>
#include <cstdlib>
#include <random>

#include "cuda_device.h"
#include "random_graph.h"
#include "registers.h"
#include "sampling/run.h"
#include "scoped_environment.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

/// Largest differences allowed (relative to the largest value).
double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return 5e-3;
    case DType::kBFloat16:
      return 3e-2;
    default:
      return 2e-5;
  }
}

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

/// Returns the seconds that `$DPM_TEST_SECONDS` leaves to comparisons of random graphs; unlimited without it.
std::chrono::duration<double> seconds_for_graphs() {
  const char* seconds = std::getenv("DPM_TEST_SECONDS");
  return std::chrono::duration<double>(seconds == nullptr ? 1e9 : std::strtod(seconds, nullptr));
}

/// Compares the graphs of `seeds` on a GPU in every type; returns the number for which there was time, at least one.
std::uint32_t compare_graphs(std::uint32_t seeds) {
  const auto reference = Device::open("reference", {});
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t seed = 0; seed < seeds; ++seed) {
    if (seed > 0 && std::chrono::steady_clock::now() - start > seconds_for_graphs()) return seed;
    std::mt19937 generator(seed);
    const RandomGraph made([&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); },
                           RandomGraph::kAnyOperation);
    const std::vector<float> expected = made.run(reference);
    for (const DType dtype : kTypes) {
      DeviceOptions options;
      options.dtype = dtype;
      const double difference = relative_difference(made.run(Device::open("cuda:0", options)), expected);
      EXPECT_LT(difference, tolerance_of(dtype)) << "seed " << seed << ", type " << static_cast<int>(dtype);
    }
  }
  return seeds;
}

#if defined(DPM_CUDA_EMULATION)
#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t kGraphs = 2;
#else
constexpr std::uint32_t kGraphs = 24;
#endif

TEST_F(CudaDevice, RandomGraphsAgreeWhateverTheProductsJoin) {
  for (const char* products : {"all", "bare", "none"}) {
    const ScopedEnvironment chosen("DPM_EMULATED_PRODUCTS", products);
    SCOPED_TRACE(products);
    RecordProperty("graphs", static_cast<int>(compare_graphs(kGraphs)));
  }
}

TEST_F(CudaDevice, WhatFollowsAConvolutionIsJoinedToItOrDoneAfterwards) {
  const auto reference = Device::open("reference", {});
  RandomValues random(3);
  for (const bool adds_vector : {false, true}) {
    GraphMaker maker(random);
    const int map = maker.enter(maker.image(8, 6, 5));
    int value = maker.bias(maker.convolution(map, 8, same_size(3)));
    if (adds_vector) {
      const int vector = maker.add(DPM_OP_TIME_EMBEDDING, {maker.time()}, graph::TimeEmbedding{8});
      value = maker.add(DPM_OP_CHANNEL_ADD, {value, vector});
    }
    maker.leave(maker.silu(maker.affine(maker.sum(value, map), 0.75F)));
    const std::vector<float> times = {3, 700};
    const GraphInputs inputs{
        random.normals(2 * maker.graph().values[0].elements()), adds_vector ? times : std::vector<float>{}, {}};
    const std::vector<float> expected = run_graph(reference, maker.graph(), 2, inputs, false);
    for (const char* products : {"all", "bare", "none"}) {
      const ScopedEnvironment chosen("DPM_EMULATED_PRODUCTS", products);
      const ScopedEnvironment large("DPM_CUDA_SMALL", "off");
      for (const DType dtype : kTypes) {
        EXPECT_LT(relative_difference(run_graph(open(dtype), maker.graph(), 2, inputs, true), expected),
                  tolerance_of(dtype))
            << products << ", with a vector " << adds_vector << ", type " << static_cast<int>(dtype);
      }
    }
  }
}
#else
TEST_F(CudaDevice, RandomGraphsAgree) { RecordProperty("graphs", static_cast<int>(compare_graphs(40))); }
#endif

TEST_F(CudaDevice, RandomUpdatesAgree) { EXPECT_LT(update_difference(device_, 60), 1e-5); }

TEST_F(CudaDevice, ReductionsAgree) { EXPECT_LT(reduce_difference(device_), 1e-9); }

TEST_F(CudaDevice, LevelsAreEqualOnAllDevices) {
  RandomValues random(2);
  const std::vector<float> values = random.normals(5001);
  const auto levels_on = [&](const std::shared_ptr<Device>& device) {
    const auto buffer = device->allocate(values.size() * sizeof(float));
    buffer->upload(0, values.data(), buffer->bytes());
    std::vector<std::uint8_t> levels(values.size() - 3);
    buffer->download_levels(3, levels.data(), levels.size());
    return levels;
  };
  const std::vector<std::uint8_t> expected = levels_on(Device::open("reference", {}));
  EXPECT_EQ(levels_on(Device::open("cpu", {2, false})), expected);
  EXPECT_EQ(levels_on(device_), expected);
}

class CudaRuns : public CudaDevice {
 protected:
  std::vector<float> images(Network& network, const RunRequest& request) {
    return run_programs(network, request, running_).images.floats;
  }

  SmallNetwork small_;
  std::atomic<bool> running_{false};
};

TEST_F(CudaRuns, MixedAndUniformProgramsAgree) {
  const auto reference = small_.load("reference");
  const auto cuda = small_.load("cuda:0");
  for (const std::uint32_t batch : {1u, 4u, 7u}) {
    EXPECT_LT(relative_difference(images(*cuda, mixed_request(7, batch)), images(*reference, mixed_request(7, batch))),
              2e-4);
    EXPECT_LT(
        relative_difference(images(*cuda, uniform_request(7, batch)), images(*reference, uniform_request(7, batch))),
        2e-4);
  }
}

TEST_F(CudaRuns, SamplesThatClipDynamicallyGoInStepWithOthers) {
  RunRequest request = uniform_request(3, 3);
  request.records.insert(request.records.end(), request.records.begin() + 5, request.records.begin() + 13);
  dpm_record& of_first = request.records[18];
  ASSERT_EQ(of_first.clip, DPM_CLIP_DYNAMIC);
  of_first.clip = DPM_CLIP_STATIC;
  of_first.clip_low = -0.25F;
  of_first.clip_high = 0.25F;
  request.programs[0] = request.programs[1];
  request.programs[0].first = 13;
  request.samples[0].program = 0;
  EXPECT_LT(relative_difference(images(*small_.load("cuda:0"), request), images(*small_.load("reference"), request)),
            2e-4);
}

TEST_F(CudaRuns, AWholeProgramEqualsItsSteps) {
  const auto network = small_.load("cuda:0");
  const RunRequest whole = uniform_request(5, 3);
  RunRequest stepwise = whole;
  stepwise.watched = true;
  const std::vector<float> expected = images(*network, stepwise);
  // The first run is step by step, the second as one captured graph, the third a launch of that graph.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(images(*network, whole), expected) << i;
}

TEST_F(CudaRuns, SnapshotsAndGivenNoiseAgree) {
  const auto reference = small_.load("reference");
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(2, 2);
  RandomValues random(5);
  run.init = random.normals(2 * SmallNetwork::kElements);
  run.noise = random.normals(std::size_t{7} * 2 * SmallNetwork::kElements);
  run.snapshot_every = 3;
  const RunResult expected = run_programs(*reference, run, running_);
  const RunResult actual = run_programs(*network, run, running_);
  ASSERT_EQ(actual.snapshots.size(), expected.snapshots.size());
  for (std::size_t i = 0; i < expected.snapshots.size(); ++i) {
    EXPECT_LT(relative_difference(actual.snapshots[i].images.floats, expected.snapshots[i].images.floats), 2e-4) << i;
  }
  EXPECT_LT(relative_difference(actual.images.floats, expected.images.floats), 2e-4);
}

TEST_F(CudaRuns, ACancelledRunEndsBetweenRecords) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(2, 2);
  run.watched = true;
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  std::uint64_t reached = 0;
  run.progress = [&](std::uint64_t done, std::uint64_t) {
    reached = done;
    if (done == 6) run.cancelled->store(true);
  };
  EXPECT_EQ(code_of([&] { images(*network, run); }), ErrorCode::kAborted);
  EXPECT_EQ(reached, 6u);
  // The device works as before.
  EXPECT_EQ(images(*network, uniform_request(2, 2)), images(*network, uniform_request(2, 2)));
}

TEST_F(CudaRuns, ProfilesItsNodes) {
  const auto network = small_.load("cuda:0");
  const std::vector<NodeTime> times = network->profile(2, 3, running_);
  EXPECT_EQ(times.size(), network->info().nodes);
}

}  // namespace
}  // namespace dpm::test
