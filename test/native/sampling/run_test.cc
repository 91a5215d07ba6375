// Test of the program runner.
#include "sampling/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/lone_samples.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

class Runs : public testing::Test {
 protected:
  SmallNetwork small_;
  std::atomic<bool> running_{false};
};

TEST_F(Runs, MixedProgramsAreIndependentOfBatchAndThreads) {
  const auto one = small_.load("cpu", 1);
  const auto expected = run_programs(*one, mixed_request(9, 1), running_).images.floats;
  for (const std::uint32_t batch : {2u, 5u, 9u}) {
    const auto many = small_.load("cpu", 2);
    EXPECT_EQ(run_programs(*many, mixed_request(9, batch), running_).images.floats, expected) << "batch " << batch;
  }
  const auto reference = small_.load("reference");
  EXPECT_LT(relative_difference(expected, run_programs(*reference, mixed_request(9, 4), running_).images.floats), 2e-4);
}

TEST_F(Runs, ThreadsWithRowsOfTheirOwnGiveTheSameBits) {
  const auto one = small_.load("cpu", 1);
  for (const std::uint32_t count : {2u, 4u, 9u, 13u}) {
    const auto expected = run_programs(*one, mixed_request(count, count), running_).images.floats;
    for (const int threads : {2, 3}) {
      const auto network = small_.load("cpu", threads);
      // The times are known only in the second run.
      for (int run = 0; run < 2; ++run) {
        EXPECT_EQ(run_programs(*network, mixed_request(count, count), running_).images.floats, expected)
            << count << " samples on " << threads << " threads, run " << run;
      }
    }
  }
}

TEST_F(Runs, GuidanceMixesTwoEvaluations) {
  const auto guided = [](std::uint32_t batch) {
    RunRequest run = mixed_request(9, batch);
    for (std::uint32_t i = 0; i < 9; ++i) run.samples[i].guidance = 0.5F * static_cast<float>(i % 5);
    run.unconditional_label = 1;
    return run;
  };
  const auto network = small_.load("cpu");
  const auto expected = run_programs(*network, guided(1), running_).images.floats;
  for (const std::uint32_t batch : {4u, 9u}) {
    EXPECT_EQ(run_programs(*network, guided(batch), running_).images.floats, expected) << "batch " << batch;
  }
  const auto reference = small_.load("reference");
  EXPECT_LT(relative_difference(expected, run_programs(*reference, guided(9), running_).images.floats), 2e-4);
  EXPECT_NE(expected, run_programs(*network, mixed_request(9, 9), running_).images.floats);

  // Only the unconditional prediction remains with weight 0.
  RunRequest unconditional = guided(9);
  RunRequest relabelled = mixed_request(9, 9);
  for (std::uint32_t i = 0; i < 9; ++i) {
    unconditional.samples[i].guidance = 0;
    relabelled.samples[i].label = 1;
  }
  EXPECT_EQ(run_programs(*network, unconditional, running_).images.floats,
            run_programs(*network, relabelled, running_).images.floats);
}

TEST_F(Runs, GuidanceIsAStraightLineThroughBothPredictions) {
  RunRequest run = mixed_request(1, 1);
  dpm_record& only = run.records[0];
  only = {};
  only.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X;
  only.time = 400;
  only.input_scale = 1;
  only.x_out = 1;
  run.programs[0].count = 1;
  run.samples[0].label = 2;
  run.unconditional_label = 1;
  const auto network = small_.load("cpu");
  const auto prediction = [&](float weight) {
    run.samples[0].guidance = weight;
    return run_programs(*network, run, running_).images.floats;
  };
  const auto unconditional = prediction(0);
  const auto conditional = prediction(1);
  for (const float weight : {0.5F, 3.0F}) {
    const auto mixed = prediction(weight);
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      EXPECT_NEAR(mixed[i], weight * conditional[i] + (1 - weight) * unconditional[i], 1e-5);
    }
  }
  EXPECT_GT(relative_difference(conditional, unconditional), 1e-3);
}

TEST_F(Runs, EveryPartOfAnIdentityChoosesTheNoise) {
  const auto network = small_.load("cpu");
  const auto images = [&](const SampleIdentity& sample) {
    RunRequest run = mixed_request(1, 1);
    run.samples[0] = sample;
    return run_programs(*network, run, running_).images.floats;
  };
  const SampleIdentity plain = mixed_request(1, 1).samples[0];
  SampleIdentity low = plain;
  SampleIdentity high = plain;
  SampleIdentity other = plain;
  ++low.seed_low;
  ++high.seed_high;
  ++other.index;
  for (const SampleIdentity& changed : {low, high, other}) EXPECT_NE(images(changed), images(plain));
}

TEST_F(Runs, TheFirstRecordsNeedNotEvaluate) {
  // The program is x = -0.5 x + noise, then y = 2 x, then the network's result for y; the programs of five records do
  // not wait.
  const auto silent_first = [](std::uint32_t batch) {
    RunRequest run = mixed_request(5, batch);
    dpm_record& noisy = run.records[5];
    noisy = {};
    noisy.flags = DPM_RECORD_WRITE_X;
    noisy.x0_out = 1;
    noisy.x_x = -0.5F;
    noisy.variance = DPM_VARIANCE_SCALAR;
    noisy.deviation = 0.25F;
    dpm_record& copied = run.records[6];
    copied = {};
    copied.flags = DPM_RECORD_WRITE_Y;
    copied.y_x = 2;
    dpm_record& evaluated = run.records[7];
    evaluated.flags |= DPM_RECORD_EVALUATE | DPM_RECORD_READ_Y;
    return run;
  };
  const auto network = small_.load("cpu");
  const auto expected = run_programs(*network, silent_first(1), running_).images.floats;
  for (const std::uint32_t batch : {2u, 5u}) {
    EXPECT_EQ(run_programs(*network, silent_first(batch), running_).images.floats, expected) << "batch " << batch;
  }
  const auto reference = small_.load("reference");
  EXPECT_LT(relative_difference(expected, run_programs(*reference, silent_first(5), running_).images.floats), 2e-4);
}

TEST_F(Runs, SnapshotsEndInTheResult) {
  const auto network = small_.load("cpu");
  RunRequest run = mixed_request(4, 3);
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
  EXPECT_EQ(result.snapshots.back().images.floats, result.images.floats);
  EXPECT_NE(result.snapshots.front().images.floats, result.images.floats);
}

TEST_F(Runs, SnapshotsAreWhatShorterProgramsEndWith) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    for (const std::uint32_t batch : {1u, 2u, 5u}) {
      for (const std::uint32_t every : {2u, 3u}) {
        RunRequest run = mixed_request(5, batch);
        run.snapshot_every = every;
        const RunResult result = run_programs(*network, run, running_);
        ASSERT_EQ(result.snapshots.size(), 8 / every);
        for (const Snapshot& snapshot : result.snapshots) {
          RunRequest cut = mixed_request(5, batch);
          for (Program& program : cut.programs) program.count = std::min(program.count, snapshot.record);
          EXPECT_EQ(snapshot.images.floats, run_programs(*network, cut, running_).images.floats)
              << device << ", batch " << batch << ", record " << snapshot.record << " of every " << every;
        }
      }
    }
  }
}

TEST_F(Runs, ExplicitNoiseReplacesTheStreams) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    RunRequest run = mixed_request(2, 2);
    RandomValues random(8);
    run.init = random.normals(2 * SmallNetwork::kElements);
    run.noise = random.normals(std::size_t{7} * 2 * SmallNetwork::kElements);
    const auto first = run_programs(*network, run, running_).images.floats;
    EXPECT_EQ(first, alone(*network, run).images.floats) << device;
    run.samples[0].seed_low = 1000;
    EXPECT_EQ(run_programs(*network, run, running_).images.floats, first) << device;
    // The noise does not depend on the batch of a sample.
    run.batch = 1;
    EXPECT_EQ(run_programs(*network, run, running_).images.floats, first) << device;
    run.batch = 2;
    run.noise.resize(std::size_t{6} * 2 * SmallNetwork::kElements);
    EXPECT_EQ(code_of([&] { run_programs(*network, run, running_); }), ErrorCode::kArgument) << device;
  }
}

TEST_F(Runs, ProgramsWithoutRecordsEndWithTheirInitialStates) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    RunRequest run = mixed_request(5, 2);
    run.programs[0].count = 0;
    run.snapshot_every = 3;
    const RunResult result = run_programs(*network, run, running_);
    const RunResult expected = alone(*network, run);
    EXPECT_EQ(result.images.floats, expected.images.floats) << device;
    EXPECT_EQ(result.snapshots[1].images.floats, expected.snapshots[1].images.floats) << device;
    for (Program& program : run.programs) program.first = program.count = 0;
    run.records.clear();
    EXPECT_EQ(run_programs(*network, run, running_).images.floats, alone(*network, run).images.floats) << device;
  }
}

TEST_F(Runs, PreviewsShowSamplesThatHaveComeAsFar) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    RunRequest run = uniform_request(5, 3);
    run.preview_every = 3;
    run.watched = true;
    std::vector<std::vector<std::uint32_t>> shown;
    std::vector<float> second;
    run.preview = [&](std::uint32_t record, std::uint32_t first, const RunImages& images) {
      const auto count = static_cast<std::uint32_t>(images.floats.size() / SmallNetwork::kElements);
      shown.push_back({record, first, count});
      if (record == 6) second.insert(second.end(), images.floats.begin(), images.floats.end());
    };
    run_programs(*network, run, running_);
    EXPECT_EQ(shown, (std::vector<std::vector<std::uint32_t>>{{3, 0, 3}, {6, 0, 3}, {3, 3, 2}, {6, 3, 2}})) << device;
    RunRequest cut = uniform_request(5, 3);
    cut.programs[1].count = 6;
    EXPECT_EQ(second, run_programs(*network, cut, running_).images.floats) << device;
  }
}

TEST_F(Runs, CancellingAndStoppingEndARun) {
  const auto network = small_.load("cpu");
  RunRequest run = mixed_request(4, 2);
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  run.progress = [&](std::uint64_t done, std::uint64_t) { run.cancelled->store(done >= 6); };
  EXPECT_EQ(code_of([&] { run_programs(*network, run, running_); }), ErrorCode::kAborted);
  const std::atomic<bool> stopping{true};
  EXPECT_EQ(code_of([&] { run_programs(*network, mixed_request(1, 1), stopping); }), ErrorCode::kClosed);
}

TEST_F(Runs, ACancelBetweenAnyTwoRecordsEndsTheRun) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    for (RunRequest run : {uniform_request(2, 2), mixed_request(2, 2), mixed_request(3, 1)}) {
      run.watched = true;
      run.cancelled = std::make_shared<std::atomic<bool>>(false);
      std::vector<std::uint64_t> stages;
      run.progress = [&](std::uint64_t done, std::uint64_t) { stages.push_back(done); };
      run_programs(*network, run, running_);
      ASSERT_GT(stages.size(), 7u) << device;
      stages.pop_back();
      for (const std::uint64_t stage : stages) {
        std::uint64_t reached = 0;
        run.cancelled->store(false);
        run.progress = [&](std::uint64_t done, std::uint64_t) {
          reached = done;
          if (done == stage) run.cancelled->store(true);
        };
        EXPECT_EQ(code_of([&] { run_programs(*network, run, running_); }), ErrorCode::kAborted) << device << stage;
        EXPECT_EQ(reached, stage) << device;
      }
    }
  }
}

/// Makes a variance to which a head contributes, unless `head`, its weight, is 0.
RunRequest linear_variance(float head) {
  RunRequest run = mixed_request(2, 2);
  for (dpm_record& record : run.records) {
    record.variance = DPM_VARIANCE_LINEAR;
    record.v0 = 0.04F;
    record.v1 = head;
    record.v2 = 0.5F;
    record.eps_in = 0.25F;
    record.eps_out = 0.5F;
    record.low = 0.01F;
    record.high = 0.3F;
  }
  return run;
}

TEST_F(Runs, ALinearVarianceNeedsAHeadWhereItReadsOne) {
  const auto reference = run_programs(*small_.load("reference"), linear_variance(0), running_).images.floats;
  RunRequest constant = linear_variance(0);
  RunRequest scalar = mixed_request(2, 2);
  for (dpm_record& record : constant.records) record.v2 = 0;
  for (dpm_record& record : scalar.records) {
    record.variance = DPM_VARIANCE_SCALAR;
    record.deviation = 0.2F;
  }
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto network = small_.load(device);
    const auto images = [&](const RunRequest& run) { return run_programs(*network, run, running_).images.floats; };
    EXPECT_LT(relative_difference(images(linear_variance(0)), reference), 2e-4) << device;
    EXPECT_LT(relative_difference(images(constant), images(scalar)), 1e-5) << device;
    EXPECT_EQ(code_of([&] { images(linear_variance(0.1F)); }), ErrorCode::kArgument) << device;
  }
}

TEST_F(Runs, RecordsReadTheirOwnPredictionWithoutAHistory) {
  const auto network = small_.load("cpu");
  RunRequest run = mixed_request(2, 2);
  for (dpm_record& record : run.records) {
    record.flags &= ~static_cast<std::uint32_t>(DPM_RECORD_STORE_HISTORY);
    std::fill_n(record.x_history, DPM_MAX_HISTORY, 0.0F);
    std::fill_n(record.y_history, DPM_MAX_HISTORY, 0.0F);
    record.slot = 2;
    record.x_history[2] = 0.5F;
  }
  const RunResult kept = run_programs(*network, run, running_);
  for (Program& program : run.programs) program.history = 0;
  EXPECT_EQ(run_programs(*network, run, running_).images.floats, kept.images.floats);
}

TEST_F(Runs, InconsistentRequestsAreRefused) {
  const auto network = small_.load("cpu");
  const auto refused = [&](const std::function<void(RunRequest&)>& spoil) {
    RunRequest run = mixed_request(2, 2);
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
  EXPECT_TRUE(refused([](RunRequest& r) { r.samples[0].guidance = std::numeric_limits<float>::quiet_NaN(); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.unconditional_label = 3; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.init.resize(5); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.noise.resize(5); }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].slot = 8; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].variance = DPM_VARIANCE_LOG; }));
  EXPECT_TRUE(refused([](RunRequest& r) { r.records[0].clip = 9; }));
}

}  // namespace
}  // namespace dpm::test
