// Networks from weight files, the program runner, the engine's queue, the registry.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "backend/registry.h"
#include "core/error.h"
#include "engine/network.h"
#include "graph_runner.h"
#include "sampling/runner.h"
#include "small_network.h"

namespace dpm::test {
namespace {

class Runs : public testing::Test {
 protected:
  static constexpr std::uint32_t kElements = SmallNetwork::kElements;

  /// A program of `count` records: noise of falling strength, a two-step history, y in every third record.
  static std::vector<dpm_record> program(std::uint32_t count, float strength) {
    std::vector<dpm_record> records;
    for (std::uint32_t i = 0; i < count; ++i) {
      dpm_record record{};
      record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X | DPM_RECORD_STORE_HISTORY;
      record.slot = i % 2;
      record.time = static_cast<float>(900 - 70 * i);
      record.input_scale = i % 2 == 0 ? 1.0F : 0.9F;
      record.x0_in = 1;
      record.x0_out = -0.5F;
      record.clip = DPM_CLIP_STATIC;
      record.clip_low = -1;
      record.clip_high = 1;
      record.history_x0 = 1;
      record.x_x = 0.4F;
      record.x_history[i % 2] = 0.5F;
      record.x_history[(i + 1) % 2] = 0.1F;
      record.variance = i + 1 < count ? DPM_VARIANCE_SCALAR : DPM_VARIANCE_NONE;
      record.deviation = strength / static_cast<float>(i + 1);
      if (i % 3 == 1) record.flags |= DPM_RECORD_WRITE_Y;
      record.y_x = 1;
      record.y_out = 0.25F;
      if (i % 3 == 2) record.flags |= DPM_RECORD_READ_Y;
      if (i == 3) record.flags &= ~static_cast<std::uint32_t>(DPM_RECORD_EVALUATE);
      records.push_back(record);
    }
    return records;
  }

  /// `count` samples that alternate between a program of five records and one of eight.
  static RunRequest request(std::uint32_t count, std::uint32_t batch) {
    RunRequest request;
    request.records = program(5, 0.5F);
    const auto second = program(8, 0.2F);
    request.records.insert(request.records.end(), second.begin(), second.end());
    request.programs = {{0, 5, 2, 1.0F}, {5, 8, 2, 0.7F}};
    for (std::uint32_t i = 0; i < count; ++i) {
      request.samples.push_back({i % 2, 42, 7, i, static_cast<std::int32_t>(i % 3)});
    }
    request.batch = batch;
    return request;
  }

  SmallNetwork small_;
  std::atomic<bool> running_{false};
};

TEST_F(Runs, MixedProgramsAreIndependentOfBatchAndThreads) {
  const auto one = small_.load("cpu", 1);
  const auto expected = run_programs(*one, request(9, 1), running_).images;
  for (const std::uint32_t batch : {2u, 5u, 9u}) {
    const auto many = small_.load("cpu", 2);
    EXPECT_EQ(run_programs(*many, request(9, batch), running_).images, expected) << "batch " << batch;
  }
  const auto reference = small_.load("reference");
  EXPECT_LT(relative_difference(expected, run_programs(*reference, request(9, 4), running_).images), 2e-4);
}

TEST_F(Runs, SnapshotsEndInTheResult) {
  const auto network = small_.load("cpu");
  RunRequest run = request(4, 3);
  run.snapshot_every = 2;
  std::uint64_t reported = 0;
  run.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_GT(done, reported);
    EXPECT_EQ(total, 26u);
    reported = done;
  };
  const RunResult result = run_programs(*network, run, running_);
  EXPECT_EQ(reported, 26u);
  ASSERT_EQ(result.snapshots.size(), 4u);
  EXPECT_EQ(result.snapshots.back().record, 8u);
  EXPECT_EQ(result.snapshots.back().images, result.images);
  EXPECT_NE(result.snapshots.front().images, result.images);
}

TEST_F(Runs, ExplicitNoiseReplacesTheStreams) {
  const auto network = small_.load("cpu");
  RunRequest run = request(2, 2);
  RandomValues random(8);
  run.init = random.normals(2 * kElements);
  run.noise = random.normals(std::size_t{7} * 2 * kElements);
  const auto first = run_programs(*network, run, running_).images;
  run.samples[0].seed_low = 1000;
  EXPECT_EQ(run_programs(*network, run, running_).images, first);
  run.noise.resize(std::size_t{6} * 2 * kElements);
  EXPECT_EQ(code_of([&] { run_programs(*network, run, running_); }), ErrorCode::kArgument);
}

TEST_F(Runs, CancellingAndStoppingEndARun) {
  const auto network = small_.load("cpu");
  RunRequest run = request(4, 2);
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  run.progress = [&](std::uint64_t done, std::uint64_t) { run.cancelled->store(done >= 6); };
  EXPECT_EQ(code_of([&] { run_programs(*network, run, running_); }), ErrorCode::kAborted);
  const std::atomic<bool> stopping{true};
  EXPECT_EQ(code_of([&] { run_programs(*network, request(1, 1), stopping); }), ErrorCode::kClosed);
}

TEST_F(Runs, InconsistentRequestsAreRefused) {
  const auto network = small_.load("cpu");
  const auto refused = [&](const std::function<void(RunRequest&)>& spoil) {
    RunRequest run = request(2, 2);
    spoil(run);
    return code_of([&] { run_programs(*network, run, running_); }) == ErrorCode::kArgument;
  };
  EXPECT_TRUE(refused([](RunRequest& r) { r.samples.clear(); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.batch = 0; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.programs[1].count = 9; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.programs[1].first = 0xFFFFFFFFu; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.programs[0].history = 9; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.programs[0].history = 1; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.samples[0].program = 2; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.samples[0].label = 3; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.init.resize(5); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.noise.resize(5); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].slot = 8; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].variance = DPM_VARIANCE_LOG; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].clip = 9; }));
}

TEST_F(Runs, WeightsAreChecked) {
  unet::Weights w = small_.weights();
  EXPECT_EQ(code_of([&] { w.add({"far", 0, DType::kFloat32, {100}, 80000 - 396, 400}); }), ErrorCode::kFileTruncated);
  EXPECT_EQ(code_of([&] { w.add({"huge", 0, DType::kFloat32, {1LL << 40, 1LL << 40}, 0, 4}); }),
            ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"odd", 0, DType::kFloat16, {3}, 0, 12}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { w.add({"elsewhere", 1, DType::kFloat16, {3}, 0, 6}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add({"conv_in.bias", 0, DType::kFloat32, {8}, 0, 32}); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { w.add_file("/nonexistent/weights"); }), ErrorCode::kFile);
  unet::Weights empty;
  const auto device = Device::open("cpu", {1, false});
  EXPECT_EQ(code_of([&] { Network(device, SmallNetwork::description(), empty); }), ErrorCode::kTensorMissing);
  unet::Description wrong = SmallNetwork::description();
  wrong.blocks.pop_back();
  wrong.blocks.pop_back();
  EXPECT_EQ(code_of([&] { Network(device, wrong, w); }), ErrorCode::kArgument);
}

/// Notes what became of it.
class NotedJob : public Job {
 public:
  NotedJob(std::vector<std::string>& notes, std::mutex& mutex, std::string name, bool drop = false)
      : notes_(notes), mutex_(mutex), name_(std::move(name)), drop_(drop) {}
  void run() override { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
  void finished(std::unique_ptr<Job> /*self*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    notes_.push_back(name_ + ":" + error_code_name(error));
  }
  [[nodiscard]] bool cancelled() const override { return drop_; }

 private:
  std::vector<std::string>& notes_;
  std::mutex& mutex_;
  std::string name_;
  bool drop_;
};

TEST(Engine, RunsInOrderDropsCancelledAndRefusesAfterClosing) {
  std::vector<std::string> notes;
  std::mutex mutex;
  {
    Engine engine("cpu", {1, false});
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "a"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "b", true));
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "c"));
    engine.drop_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    engine.stop();
    engine.submit(std::make_unique<NotedJob>(notes, mutex, "d"));
    engine.join();
    EXPECT_EQ(code_of([&] { engine.run_now([] {}); }), ErrorCode::kClosed);
  }
  const std::vector<std::string> expected = {"b:ERR_DPM_ABORTED", "a:ERR_DPM_OK", "c:ERR_DPM_OK", "d:ERR_DPM_CLOSED"};
  EXPECT_EQ(notes, expected);
}

TEST(Registry, KnowsItsDevicesAndSaysWhyNot) {
  const auto devices = list_devices();
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_TRUE(devices[0].usable);
  EXPECT_TRUE(devices[1].usable) << devices[1].reason;
  EXPECT_GT(devices[0].score, devices[1].score);
  EXPECT_EQ(code_of([] { find_device("abacus"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:1"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:x"); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { find_device("cpu:"); }), ErrorCode::kDevice);
}

}  // namespace
}  // namespace dpm::test
