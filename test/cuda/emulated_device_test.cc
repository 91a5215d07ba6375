// Test of properties that only the emulated device shows: numbers of captures, launches and allocations, and failures
// of a GPU.
#include <algorithm>
#include <thread>

#include "emulated_cuda.h"
#include "evaluate_derivative.h"
#include "sampling/registers.h"

namespace dpm::test {
namespace {

TEST_F(EmulatedCuda, ATrajectoryIsALaunchAStepWithoutAllocationOrCapture) {
  const auto network = small_.load("cuda:0");
  const RunRequest run = uniform_request(3, 3);
  const std::vector<float> first = warm_up(*network, run);
  std::vector<float> again;
  const simt::Counters counters = counted([&] { again = images(*network, run); });
  EXPECT_EQ(again, first);
  EXPECT_EQ(counters.graph_launches, 8u);
  EXPECT_EQ(counters.captures, 0u);
  EXPECT_EQ(counters.allocations, 0u);
  // The waits are for the end of the trajectory and for the images.
  EXPECT_EQ(counters.synchronisations, 3u);
}

TEST_F(EmulatedCuda, AWatchedTrajectoryIsOneLaunchAStep) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  run.watched = true;
  warm_up(*network, run);
  const simt::Counters counters = counted([&] { images(*network, run); });
  EXPECT_EQ(counters.graph_launches, 8u);
  EXPECT_EQ(counters.captures, 0u);
  EXPECT_EQ(counters.allocations, 0u);
}

TEST_F(EmulatedCuda, AWatchedTrajectoryHasOneStepInFlight) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  const std::vector<float> expected = warm_up(*network, run);
  run.watched = true;
  std::vector<std::uint64_t> done;
  std::vector<std::size_t> queued;
  run.progress = [&](std::uint64_t records, std::uint64_t total) {
    EXPECT_EQ(total, 24U);
    done.push_back(records);
    queued.push_back(emulation().queued());
  };
  warm_up(*network, run);
  done.clear();
  queued.clear();
  EXPECT_EQ(images(*network, run), expected);
  EXPECT_EQ(done, (std::vector<std::uint64_t>{3, 6, 9, 12, 15, 18, 21, 24}));
  // The next step, and only that one, is queued whenever a step is reported.
  EXPECT_EQ(queued.back(), 0U);
  const auto [least, most] = std::minmax_element(queued.begin(), queued.end() - 1);
  EXPECT_GE(*least, 3U);
  EXPECT_LT(*most, 60U);
}

TEST_F(EmulatedCuda, StatesThatAreLookedAtAreThoseOfTheirStep) {
  RunRequest run = uniform_request(3, 3);
  run.watched = true;
  run.snapshot_every = 2;
  const RunResult expected = run_programs(*small_.load("reference"), run, running_);
  const auto network = small_.load("cuda:0");
  for (int i = 0; i < 2; ++i) {
    const RunResult actual = run_programs(*network, run, running_);
    ASSERT_EQ(actual.snapshots.size(), 4U);
    for (std::size_t j = 0; j < 4; ++j) {
      const auto& [record, snapshot] = actual.snapshots[j];
      EXPECT_LT(relative_difference(snapshot.floats, expected.snapshots[j].images.floats), 2e-4) << record;
    }
  }
}

TEST_F(EmulatedCuda, AWatchedTrajectoryWaitsForItsTableToBeRead) {
  RunRequest run = uniform_request(3, 3);
  const std::vector<float> expected = images(*small_.load("cuda:0"), run);
  const auto small_card = open_on_card_of(std::size_t{540} << 10);
  Network network(small_card, small_.graph(), SmallNetwork::options());
  run.watched = true;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(images(network, run), expected);
}

TEST_F(EmulatedCuda, ACancelledTrajectoryLeavesTheNextOneAlone) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  const std::vector<float> expected = warm_up(*network, run);
  RunRequest cancelled = run;
  cancelled.watched = true;
  cancelled.cancelled = std::make_shared<std::atomic<bool>>(false);
  cancelled.progress = [&](std::uint64_t done, std::uint64_t) { cancelled.cancelled->store(done >= 9); };
  EXPECT_EQ(code_of([&] { images(*network, cancelled); }), ErrorCode::kAborted);
  EXPECT_EQ(images(*network, run), expected);
}

TEST_F(EmulatedCuda, ATrajectoryMayBeginWithoutAnEvaluation) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  dpm_record& first = run.records[run.programs[1].first];
  first = {};
  first.flags = DPM_RECORD_WRITE_X;
  first.x_x = 0.5F;
  first.variance = DPM_VARIANCE_SCALAR;
  first.deviation = 1;
  const std::vector<float> expected = images(*small_.load("reference"), run);
  EXPECT_LT(relative_difference(warm_up(*network, run), expected), 2e-4);
  const simt::Counters counters = counted([&] { images(*network, run); });
  EXPECT_EQ(counters.graph_launches, 8u);
}

TEST_F(EmulatedCuda, ATableThatExceedsItsMemoryIsCopiedPieceByPiece) {
  const RunRequest run = uniform_request(3, 3);
  // Three steps of three samples take less than a 256th of this memory.
  const auto small_card = open_on_card_of(std::size_t{540} << 10);
  Network network(small_card, small_.graph(), SmallNetwork::options());
  const auto on_large_card = small_.load("cuda:0");
  std::vector<float> expected;
  const simt::Counters of_one_table = counted([&] { expected = images(*on_large_card, run); });
  EXPECT_EQ(warm_up(network, run), expected);
  const simt::Counters counters = counted([&] { EXPECT_EQ(images(network, run), expected); });
  EXPECT_EQ(counters.graph_launches, 8u);
  // The additional uploads are two more tables, and the progress of each.
  EXPECT_EQ(counters.uploads, of_one_table.uploads + 4);
}

TEST_F(EmulatedCuda, UploadsThatExceedTheStagingMemoryArriveWhole) {
  constexpr std::size_t kFloats = std::size_t{3} << 20;
  std::vector<float> values(kFloats);
  for (std::size_t i = 0; i < kFloats; ++i) values[i] = static_cast<float>(i);
  const auto first = device_->allocate(kFloats * sizeof(float));
  const auto second = device_->allocate(sizeof(float));
  first->upload(0, values.data(), first->bytes());
  second->upload(0, &values[7], second->bytes());
  std::vector<float> arrived(kFloats);
  first->download(0, arrived.data(), first->bytes());
  EXPECT_TRUE(arrived == values);
  second->download(0, arrived.data(), second->bytes());
  EXPECT_EQ(arrived[0], 7.0F);
}

TEST_F(EmulatedCuda, ZerosDoNotComeFromTheHost) {
  const NetworkShape shape = small_.load("cuda:0")->shape();
  constexpr std::uint32_t kRows = 5;
  const std::uint64_t bytes = kRows * shape.image * sizeof(float);
  // The next allocation gets the addresses of these buffers.
  const std::vector<float> before(kRows * shape.image, 3.0F);
  for (int i = 0; i < 5; ++i) device_->allocate(bytes)->upload(0, before.data(), bytes);
  std::unique_ptr<Registers> registers;
  const simt::Counters counters = counted([&] {
    registers = std::make_unique<Registers>(*device_, shape, kRows);
    registers->provide(true, 2);
  });
  EXPECT_EQ(counters.uploaded, 0u);
  const dpm_update views = registers->views();
  for (const dpm_view& view : {views.y, views.history[0], views.history[1]}) {
    std::vector<float> values(kRows * shape.image, 1.0F);
    dpm_message message{};
    ASSERT_EQ(device_->api().state.download(device_->get(), view.buffer, 0, values.data(), bytes, &message), DPM_OK);
    EXPECT_EQ(values, std::vector<float>(values.size()));
  }
}

TEST_F(EmulatedCuda, OneGraphServesEveryProgramOfTheSameShape) {
  const auto network = small_.load("cuda:0");
  RunRequest run = uniform_request(3, 3);
  warm_up(*network, run);
  for (dpm_record& record : run.records) record.time *= 0.5F;
  for (SampleIdentity& sample : run.samples) sample.seed_low += 17;
  std::vector<float> actual;
  const simt::Counters counters = counted([&] { actual = images(*network, run); });
  EXPECT_EQ(counters.captures, 0u);
  EXPECT_LT(relative_difference(actual, images(*small_.load("reference"), run)), 2e-4);
}

TEST_F(EmulatedCuda, EvaluationsOfTheSameTensorsAreReplayed) {
  const auto network = small_.load("cuda:0");
  const RunRequest run = mixed_request(4, 4);
  const std::vector<float> first = warm_up(*network, run);
  const simt::Counters counters = counted([&] { EXPECT_EQ(images(*network, run), first); });
  EXPECT_EQ(counters.captures, 0u);
  EXPECT_GT(counters.graph_launches, 4u);
}

TEST_F(EmulatedCuda, AFailedCardEndsTheEngineAndNotTheProcess) {
  const Repaired repaired;
  const auto network = small_.load("cuda:0");
  const RunRequest run = uniform_request(2, 2);
  const std::vector<float> expected = images(*network, run);
  emulation().break_device(cudaErrorIllegalAddress, 40);
  const auto message = [&]() -> std::string {
    try {
      images(*network, run);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDevice);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message().find("cudaErrorIllegalAddress"), std::string::npos);
  emulation().repair_device();
  // CUDA's context would stay broken, so nothing more is run on it.
  EXPECT_NE(message().find("the card failed before"), std::string::npos);
  EXPECT_EQ(code_of([&] { network->device().allocate(16); }), ErrorCode::kDevice);
  EXPECT_EQ(images(*small_.load("cuda:0"), run), expected);
}

TEST_F(EmulatedCuda, AnInvalidatedCaptureCostsTimeOnly) {
  const RunRequest run = uniform_request(3, 3);
  const auto network = small_.load("cuda:0");
  const std::vector<float> expected = images(*small_.load("cuda:0"), run);
  emulation().invalidate_captures(2);
  EXPECT_EQ(images(*network, run), expected);
  warm_up(*network, run);
  const simt::Counters counters = counted([&] { EXPECT_EQ(images(*network, run), expected); });
  EXPECT_EQ(counters.graph_launches, 8u);
}

TEST_F(EmulatedCuda, RaggedBatchesNeedFewPlans) {
  const auto network = small_.load("cuda:0");
  network->reserve(7);
  const auto reference = small_.load("reference");
  for (const std::uint32_t count : {7u, 6u, 5u, 4u, 3u, 2u, 1u}) {
    const RunRequest run = uniform_request(count, 7);
    EXPECT_LT(relative_difference(images(*network, run), images(*reference, run)), 2e-4) << count;
  }
}

TEST_F(EmulatedCuda, SeveralEnginesShareACard) {
  const RunRequest run = uniform_request(3, 2);
  const std::vector<float> expected = images(*small_.load("cuda:0"), run);
  std::vector<std::unique_ptr<Network>> networks;
  std::vector<std::vector<float>> results(3);
  networks.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) networks.push_back(small_.load("cuda:0"));
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 3; ++k) results[i] = images(*networks[i], run);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

TEST_F(EmulatedCuda, EverythingIsGivenBack) {
  const auto device = open(DType::kBFloat16);
  const std::uint64_t before = device->memory().device;
  {
    Network network(device, small_.graph(), SmallNetwork::options());
    images(network, uniform_request(2, 2));
    EXPECT_GT(device->memory().device, before + network.info().weight_bytes);
  }
  // The memory is freed when the device is used again. The rest is kept for the next run of this size, and counted.
  const Network next(device, small_.graph(), SmallNetwork::options());
  EXPECT_LT(device->memory().device, device->memory().peak_device);
}

TEST_F(EmulatedCuda, ADerivativeSharesTheWeightsOfItsNetwork) {
  // In 16 bits the image is stored in two terms, its tangent in one: the same weights are packed in two ways.
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const auto load = [&](const std::shared_ptr<Device>& device, Derivative derivative) {
      NetworkOptions options = SmallNetwork::options();
      options.derivative = derivative;
      return std::make_unique<Network>(device, small_.graph(), options);
    };
    const auto alone = load(open(dtype), Derivative::kPushforward);
    const auto device = open(dtype);
    auto network = load(device, Derivative::kNone);
    const auto beside = load(device, Derivative::kPushforward);
    EXPECT_LT(beside->info().weight_bytes, network->info().weight_bytes / 2);
    EXPECT_LT(beside->info().weight_bytes, alone->info().weight_bytes / 2);
    network.reset();
    EXPECT_EQ(derive_twice(*beside, 2).derived, derive_twice(*alone, 2).derived);
  }
}

TEST_F(EmulatedCuda, NoStreamGraphOrEventIsLeft) {
  const std::int64_t before = emulation().counters().handles;
  {
    const auto network = small_.load("cuda:0");
    warm_up(*network, uniform_request(2, 2));
    network->profile(2, 1, running_);
    EXPECT_GT(emulation().counters().handles, before + 1);
  }
  EXPECT_EQ(emulation().counters().handles, before);
}

TEST_F(EmulatedCuda, RefusesWhatItCannotDo) {
  const auto code = [](const std::function<void(DeviceOptions&)>& set) {
    DeviceOptions options;
    set(options);
    return code_of([&] { Device::open("cuda:0", options); });
  };
  EXPECT_EQ(code([](DeviceOptions&) {}), ErrorCode::kOk);
  EXPECT_EQ(code([](DeviceOptions& o) { o.tf32 = true; }), ErrorCode::kOk);
  EXPECT_EQ(code([](DeviceOptions& o) { o.exact = true, o.dtype = DType::kFloat16; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](DeviceOptions& o) { o.tf32 = true, o.dtype = DType::kBFloat16; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of([] { Device::open("cuda:1", {}); }), ErrorCode::kDevice);
  DeviceOptions tuned;
  tuned.autotune = true;
  EXPECT_EQ(code_of([&] { Device::open("cpu", tuned); }), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dpm::test
