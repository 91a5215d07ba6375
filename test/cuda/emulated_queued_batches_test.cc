// Test of batches whose steps are queued as a whole, on the emulated GPU.
#include <optional>

#include "emulated_batches.h"
#include "sampling/batch_requests.h"

namespace dpm::test {
namespace {

/// Fixture for batches whose steps are queued as a whole, one while the GPU computes another.
class QueuedBatches : public EmulatedBatches {
 protected:
  struct Outcome {
    std::optional<ErrorCode> code;
    std::string message;
    RunResult result;
    std::vector<std::uint64_t> told;
    std::vector<float> shown;
  };

  static std::unique_ptr<BatchRequest> request_of(RunRequest run, Outcome& outcome) {
    auto request = std::make_unique<BatchRequest>();
    request->keys.assign(run.samples.size(), 0);
    request->run = std::move(run);
    request->run.progress = [&](std::uint64_t done, std::uint64_t) { outcome.told.push_back(done); };
    request->run.preview = [&](std::uint32_t, std::uint32_t, const RunImages& image) {
      outcome.shown.insert(outcome.shown.end(), image.floats.begin(), image.floats.end());
      outcome.shown.insert(outcome.shown.end(), image.levels.begin(), image.levels.end());
    };
    request->finished = [&](BatchOutcome ended) {
      EXPECT_FALSE(outcome.code) << "told twice";
      outcome.code = ended.code;
      outcome.message = ended.message;
      outcome.result = std::move(ended.result);
    };
    return request;
  }

  Batch opened(std::uint32_t rows, std::uint32_t slots) {
    return {std::make_unique<NetworkEvaluator>(network_), {rows, slots, true, true}};
  }

  static void finish(Batch& batch) {
    while (batch.has_work()) batch.take_turn();
  }

  static RunRequest dynamic(std::uint32_t samples, std::uint32_t records) {
    RunRequest run = plain(samples);
    run.records = small_program(records, 0.5F);
    run.programs[0].count = records;
    for (dpm_record& record : run.records) {
      record.flags |= DPM_RECORD_EVALUATE;
      record.clip = DPM_CLIP_DYNAMIC;
      record.clip_low = 0.9F;
      record.clip_high = 0.5F;
      record.clip_ceiling = 2;
    }
    run.samples[0].guidance = 2;
    return run;
  }
};

TEST_F(QueuedBatches, GiveTheSameBitsAsOneThingAfterTheOther) {
  for (const SecondOutput second : {SecondOutput::kNone, SecondOutput::kHead, SecondOutput::kLearned}) {
    const SmallNetwork small(second);
    network_ = small.load("cuda:0");
    for (std::uint32_t seed = 0; seed < 6; ++seed) {
      RandomValues random(seed);
      std::vector<RunRequest> runs;
      while (runs.size() < 4) {
        RunRequest run = random_run(random, second != SecondOutput::kNone);
        if (run.records.size() > 16) continue;
        run.noise.clear();
        runs.push_back(std::move(run));
      }
      // Previews of data predictions look into steps, which are then not queued as a whole.
      const auto outcomes = [&](bool looks) {
        std::vector<Outcome> made(runs.size());
        // Rows belong to other samples before they have been read, because there are fewer slots than samples.
        Batch batch = opened(5, 6);
        for (std::size_t i = 0; i < runs.size(); ++i) {
          auto request = request_of(runs[i], made[i]);
          if (looks) {
            request->run.preview_every = 1;
            request->data_predictions.assign(2 * runs[i].records.size(), 0.5F);
          }
          batch.submit(std::move(request));
          batch.take_turn();
        }
        finish(batch);
        return made;
      };
      const std::vector<Outcome> together = outcomes(false);
      const std::vector<Outcome> apart = outcomes(true);
      for (std::size_t i = 0; i < runs.size(); ++i) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", request " + std::to_string(i));
        ASSERT_EQ(together[i].code, ErrorCode::kOk) << together[i].message;
        EXPECT_EQ(together[i].result.images.floats, apart[i].result.images.floats);
        EXPECT_EQ(together[i].result.images.levels, apart[i].result.images.levels);
        ASSERT_EQ(together[i].result.snapshots.size(), apart[i].result.snapshots.size());
        for (std::size_t j = 0; j < together[i].result.snapshots.size(); ++j) {
          EXPECT_EQ(together[i].result.snapshots[j].images.floats, apart[i].result.snapshots[j].images.floats);
          EXPECT_EQ(together[i].result.snapshots[j].images.levels, apart[i].result.snapshots[j].images.levels);
        }
        EXPECT_EQ(together[i].told, apart[i].told);
      }
    }
  }
}

TEST_F(QueuedBatches, TakeOneCopyAndOneLaunchAStep) {
  Batch batch = opened(6, 6);
  Outcome outcome;
  batch.submit(request_of(dynamic(4, 40), outcome));
  for (int turn = 0; turn < 4; ++turn) batch.take_turn();
  emulation().reset_counters();
  for (int turn = 0; turn < 30; ++turn) batch.take_turn();
  const simt::Counters counters = emulation().counters();
  EXPECT_EQ(counters.uploads, 30u);
  EXPECT_EQ(counters.graph_launches, 30u);
  EXPECT_EQ(counters.synchronisations, 30u);
  EXPECT_EQ(counters.captures, 0u);
  EXPECT_EQ(counters.allocations, 0u);
  finish(batch);
  EXPECT_EQ(batch.statistics().steps, 40u);
  EXPECT_GT(batch.statistics().seconds, 0);
}

TEST_F(QueuedBatches, CaptureAGraphForEverySizeAndKind) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {6, 6, false});
  const auto run = [&](Batch& batch) {
    emulation().reset_counters();
    for (const bool guided : {false, true}) {
      // The emulated products need most scratch memory for two rows: graphs are dropped when more is allocated.
      for (const std::uint32_t samples : {2u, 1u, 3u, 4u, 5u}) {
        Outcome outcome;
        RunRequest request = plain(samples);
        if (guided) request.samples[0].guidance = 3;
        batch.submit(request_of(request, outcome));
        finish(batch);
        EXPECT_EQ(outcome.code, ErrorCode::kOk);
      }
    }
    return emulation().counters().captures;
  };
  // The graphs are those of 1, 2, 3, 4 and 6 rows, and of 2, 3, 4 and 6 with a guided sample.
  EXPECT_EQ(run(batch), 9u);
  EXPECT_EQ(run(batch), 0u);
  network_ = small_.load("cuda:0");
  Batch of_one_size = opened(6, 6);
  EXPECT_EQ(run(of_one_size), 2u);
}

TEST_F(QueuedBatches, LearnWhatTheirSizesTake) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {6, 6, true});
  const auto padded_by = [&](std::uint32_t samples) {
    const std::uint64_t before = batch.statistics().padded_rows;
    Outcome outcome;
    batch.submit(request_of(plain(samples), outcome));
    finish(batch);
    EXPECT_EQ(outcome.code, ErrorCode::kOk);
    return batch.statistics().padded_rows - before;
  };
  // Four rows take nearly as long as six, so it is better to compute six for five, once that is known.
  emulation().linger(1);
  EXPECT_EQ(padded_by(5), 0u);
  EXPECT_EQ(padded_by(6), 0u);
  EXPECT_EQ(padded_by(5), 3u);
  emulation().linger(0);
}

TEST_F(QueuedBatches, QueueAStepWhileTheCardIsBusyWithTheOneBefore) {
  Batch batch = opened(2, 2);
  Outcome outcome;
  batch.submit(request_of(plain(1), outcome));
  batch.take_turn();
  EXPECT_GT(emulation().queued(), 0u);
  EXPECT_TRUE(outcome.told.empty());
  batch.take_turn();
  EXPECT_GT(emulation().queued(), 0u);
  EXPECT_EQ(outcome.told, (std::vector<std::uint64_t>{1}));
  batch.take_turn();
  EXPECT_FALSE(outcome.code);
  // The sample's slot is free although its result has not been reported.
  EXPECT_EQ(batch.statistics().resident, 0u);
  EXPECT_TRUE(batch.has_work());
  batch.take_turn();
  EXPECT_EQ(outcome.code, ErrorCode::kOk);
  EXPECT_EQ(outcome.told, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(emulation().queued(), 0u);
  EXPECT_FALSE(batch.has_work());
  EXPECT_EQ(batch.statistics().steps, 3u);
}

TEST_F(QueuedBatches, KeepShowAndGiveWhatArrives) {
  RunRequest run = plain(2);
  run.snapshot_every = 2;
  run.preview_every = 1;
  const auto outcome_of = [&](RunRequest wanted) {
    Outcome outcome;
    Batch batch = opened(2, 2);
    batch.submit(request_of(std::move(wanted), outcome));
    finish(batch);
    return outcome;
  };
  const Outcome floats = outcome_of(run);
  const std::size_t image = SmallNetwork::kElements;
  // Previews are shown after one, two and three records, of both samples each.
  ASSERT_EQ(floats.shown.size(), 6 * image);
  ASSERT_EQ(floats.result.snapshots.size(), 1u);
  const auto shown = [&](std::size_t record) {
    const auto first = floats.shown.begin() + static_cast<std::ptrdiff_t>(2 * image * (record - 1));
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(2 * image));
  };
  EXPECT_EQ(floats.result.snapshots[0].images.floats, shown(2));
  EXPECT_EQ(floats.result.images.floats, shown(3));
  for (std::uint32_t records = 1; records <= 2; ++records) {
    RunRequest cut = run;
    cut.programs[0].count = records;
    EXPECT_EQ(outcome_of(cut).result.images.floats, shown(records));
  }
  run.levels = true;
  const Outcome levels = outcome_of(run);
  std::vector<std::uint8_t> expected(2 * image);
  const auto buffer = network_->device().allocate(2 * image * sizeof(float));
  buffer->upload(0, floats.result.images.floats.data(), 2 * image * sizeof(float));
  buffer->download_levels(0, expected.data(), 2 * image);
  EXPECT_EQ(levels.result.images.levels, expected);
}

TEST_F(QueuedBatches, ShowDataPredictionsOfStepsThatAreNotWhole) {
  RunRequest run = plain(2);
  show_data_as_state(run.records);
  run.preview_every = 2;
  const auto shown = [&](bool predictions) {
    Outcome outcome;
    Batch batch = opened(3, 3);
    auto request = request_of(run, outcome);
    if (predictions) preview_predictions(*request, run.records);
    batch.submit(std::move(request));
    finish(batch);
    return outcome.shown;
  };
  EXPECT_EQ(shown(true).size(), 2 * SmallNetwork::kElements);
  EXPECT_EQ(shown(true), shown(false));
}

TEST_F(QueuedBatches, AreRidOfACancelledRequestWithinTwoSteps) {
  Batch batch = opened(2, 2);
  Outcome cancelled;
  Outcome other;
  RunRequest run = plain(2);
  run.snapshot_every = 1;
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto flag = run.cancelled;
  batch.submit(request_of(std::move(run), cancelled));
  batch.take_turn();
  batch.take_turn();
  flag->store(true);
  batch.submit(request_of(plain(2), other));
  batch.take_turn();
  EXPECT_EQ(cancelled.code, ErrorCode::kAborted);
  EXPECT_EQ(cancelled.message, "sampling was aborted after 2 of 6 records");
  // Results that the last step has brought for it are dropped.
  EXPECT_EQ(cancelled.told, std::vector<std::uint64_t>{2});
  finish(batch);
  EXPECT_EQ(other.code, ErrorCode::kOk);
  EXPECT_EQ(other.result.images.floats, results({plain(2)}, {0}, {2, 2, true, true})[0]);
}

TEST_F(QueuedBatches, GoOnWhenTheirNetworkGetsMoreMemoryBetweenSteps) {
  const Results expected = results({dynamic(2, 5)}, {0}, {4, 4, true, true});
  Batch batch = opened(4, 4);
  Outcome outcome;
  batch.submit(request_of(dynamic(2, 5), outcome));
  for (int rows = 5; batch.has_work(); ++rows) {
    batch.take_turn();
    network_->reserve(rows);
  }
  EXPECT_EQ(outcome.result.images.floats, expected[0]);
}

TEST_F(QueuedBatches, EndARequestWhoseResultHasNoWayToTheHost) {
  Batch batch = opened(4, 4);
  Outcome shown;
  Outcome other;
  RunRequest run = plain(2);
  run.snapshot_every = 2;
  batch.submit(request_of(run, shown));
  batch.submit(request_of(plain(1), other));
  batch.take_turn();
  // The device takes its first snapshot here, so no memory has been pinned for one.
  emulation().limit_pinned(0);
  batch.take_turn();
  emulation().limit_pinned(SIZE_MAX);
  EXPECT_EQ(shown.code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(batch.statistics().resident, 1u);
  finish(batch);
  EXPECT_EQ(other.code, ErrorCode::kOk);
  EXPECT_EQ(other.told, (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST_F(QueuedBatches, EndWhenTheCardFails) {
  Batch batch = opened(2, 2);
  Outcome outcome;
  Outcome late;
  batch.submit(request_of(plain(3), outcome));
  batch.take_turn();
  batch.take_turn();
  emulation().break_device(cudaErrorIllegalAddress, 0);
  batch.take_turn();
  EXPECT_EQ(outcome.code, ErrorCode::kDevice);
  EXPECT_FALSE(batch.has_work());
  batch.submit(request_of(plain(1), late));
  EXPECT_EQ(late.code, ErrorCode::kDevice);
  emulation().repair_device();
}

TEST_F(QueuedBatches, LeaveStepsWithGivenNoiseAndThoseThatEvaluateNothingToTheirParts) {
  RandomValues random(4);
  RunRequest given = plain(1);
  given.noise = random.normals(2 * std::size_t{SmallNetwork::kElements});
  RunRequest idle = plain(1);
  idle.records[1].flags &= ~std::uint32_t{DPM_RECORD_EVALUATE};
  const std::atomic<bool> running{false};
  const auto reference = small_.load("reference");
  for (const RunRequest& run : {given, idle}) {
    const Results alone = results({run}, {0}, {2, 4, true, true});
    EXPECT_LT(relative_difference(alone[0], run_programs(*reference, run, running).images.floats), 2e-3);
    // The run is tested before one whose steps are whole, and beside it.
    EXPECT_EQ(results({run, dynamic(1, 3)}, {0, 8}, {4, 4, true, true})[1],
              results({dynamic(1, 3)}, {0}, {4, 4, true, true})[0]);
    EXPECT_EQ(results({run, dynamic(1, 3)}, {0, 0}, {4, 4, true, true})[0], results({run}, {0}, {4, 4, true, true})[0]);
  }
}

TEST_F(QueuedBatches, AreNotForNetworksWhoseOutputsAreDivided) {
  const auto load = [&](const char* device) {
    return std::make_shared<Network>(Device::open(device, {}), small_.graph(), NetworkOptions{3, true, {}});
  };
  network_ = load("cuda:0");
  const Results divided = results({plain(2)}, {0}, {2, 2});
  const std::atomic<bool> running{false};
  const std::vector<float> expected = run_programs(*load("reference"), plain(2), running).images.floats;
  EXPECT_LT(relative_difference(divided[0], expected), 2e-3);
  EXPECT_GT(relative_difference(results({plain(2)}, {0}, {2, 2})[0],
                                run_programs(*small_.load("reference"), plain(2), running).images.floats),
            2e-3);
}

TEST_F(QueuedBatches, GiveWhatIsThereWhenTheirMemoryIsGone) {
  Batch batch = opened(2, 2);
  Outcome outcome;
  batch.submit(request_of(plain(1), outcome));
  for (int step = 0; step < 3; ++step) batch.take_turn();
  emulation().limit_memory(1);
  EXPECT_EQ(code_of([&] { network_->reserve(8); }), ErrorCode::kOutOfMemory);
  emulation().limit_memory(kCardMemory);
  EXPECT_FALSE(outcome.code);
  finish(batch);
  EXPECT_EQ(outcome.code, ErrorCode::kOk);
}

TEST_F(QueuedBatches, GiveWhatIsThereWhenTheNextStepCannotBeQueued) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {6, 6, false});
  Outcome first;
  Outcome second;
  batch.submit(request_of(plain(1), first));
  for (int step = 0; step < 3; ++step) batch.take_turn();
  // Two rows need more scratch memory than one.
  batch.submit(request_of(plain(2), second));
  emulation().limit_memory(1);
  batch.take_turn();
  emulation().limit_memory(kCardMemory);
  EXPECT_EQ(first.code, ErrorCode::kOk);
  EXPECT_EQ(second.code, ErrorCode::kOutOfMemory);
}

TEST_F(QueuedBatches, HaveRoomForWhatIsComputedBesideThem) {
  // Five guided samples are ten rows; a network with a larger reservation computes twelve.
  network_->reserve(16);
  const RunRequest run = [] {
    RunRequest made = dynamic(5, 3);
    for (SampleIdentity& sample : made.samples) sample.guidance = 2;
    return made;
  }();
  const std::atomic<bool> running{false};
  const std::vector<float> expected = run_programs(*small_.load("reference"), run, running).images.floats;
  EXPECT_LT(relative_difference(run_programs(*network_, run, running).images.floats, expected), 2e-3);
  Batch batch(std::make_unique<NetworkEvaluator>(network_), {5, 5, true, true});
  Outcome outcome;
  batch.submit(request_of(dynamic(1, 3), outcome));
  finish(batch);
  EXPECT_EQ(outcome.code, ErrorCode::kOk) << outcome.message;
}

TEST_F(QueuedBatches, KeepTheirTimesApart) {
  Batch one = opened(1, 1);
  Batch other = opened(2, 2);
  Outcome of_one;
  Outcome of_other;
  one.submit(request_of(plain(1), of_one));
  other.submit(request_of(plain(1), of_other));
  emulation().linger(1);
  double charged_one = 0;
  double charged_other = 0;
  while (one.has_work() || other.has_work()) {
    charged_one += one.take_turn();
    charged_other += other.take_turn();
  }
  emulation().linger(0);
  // Each has three steps, with the same number of kernels.
  EXPECT_GT(charged_one, 3);
  EXPECT_NEAR(charged_one, charged_other, 2);
  EXPECT_NEAR(one.statistics().seconds, charged_one, 0.5);
  EXPECT_NEAR(other.statistics().seconds, charged_other, 0.5);
}

TEST_F(QueuedBatches, AreHowGuidedRunsGoOn) {
  const RunRequest run = dynamic(2, 6);
  const std::atomic<bool> running{false};
  const std::vector<float> expected = run_programs(*small_.load("reference"), run, running).images.floats;
  EXPECT_LT(relative_difference(run_programs(*network_, run, running).images.floats, expected), 2e-3);
  emulation().reset_counters();
  EXPECT_LT(relative_difference(run_programs(*network_, run, running).images.floats, expected), 2e-3);
  EXPECT_EQ(emulation().counters().graph_launches, 6u);
  // One more upload is that of the samples' initial states.
  EXPECT_EQ(emulation().counters().uploads, 7u);
}

}  // namespace
}  // namespace dpm::test
