// Test of samples that join and leave a running batch.
#include "sampling/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "allocations.h"
#include "core/error.h"
#include "graph_runner.h"
#include "sampling/batch_requests.h"
#include "sampling/one_batch.h"
#include "scoped_environment.h"

namespace dpm::test {
namespace {

/// A mix of requests that come at random turns with random keys and priorities, some of which are cancelled in between.
class Mix {
 public:
  Mix(std::uint32_t seed, const std::shared_ptr<Network>& network, bool has_second_output)
      : random_(seed), network_(network), seed_(seed) {
    const auto count = static_cast<std::size_t>(random_.between(2, 5));
    outcomes_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      RunRequest run = random_run(random_, has_second_output);
      if (random_.between(0, 5) == 0) run.cancelled = std::make_shared<std::atomic<bool>>(false);
      runs_.push_back(std::move(run));
    }
  }

  void run() {
    const auto rows = static_cast<std::uint32_t>(random_.between(2, 6));
    Batch batch(evaluator_of(network_), {rows, rows + static_cast<std::uint32_t>(random_.between(0, 4))});
    for (std::size_t next = 0; next < runs_.size() || batch.has_work();) {
      if (next < runs_.size() && random_.between(0, 2) == 0) {
        batch.submit(batch_request(runs_[next], outcomes_[next], random_.between(-1, 1), random_.between(0, 3)));
        ++next;
      }
      for (const RunRequest& run : runs_) {
        if (run.cancelled && random_.between(0, 9) == 0) run.cancelled->store(true);
      }
      batch.take_turn();
    }
    EXPECT_EQ(batch.statistics().resident, 0u);
    EXPECT_EQ(batch.statistics().waiting, 0u);
    EXPECT_EQ(batch.statistics().finished, runs_.size());
  }

  void compare() {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const std::string what = "mix " + std::to_string(seed_) + ", request " + std::to_string(i);
      ASSERT_EQ(outcomes_[i].calls, 1) << what;
      if (outcomes_[i].code == ErrorCode::kAborted) {
        ASSERT_TRUE(runs_[i].cancelled && runs_[i].cancelled->load()) << what;
        continue;
      }
      ASSERT_EQ(outcomes_[i].code, ErrorCode::kOk) << what << ": " << outcomes_[i].message;
      if (runs_[i].cancelled) runs_[i].cancelled->store(false);
      expect_equal(outcomes_[i].result, alone(*network_, runs_[i]), what);
    }
  }

 private:
  RandomValues random_;
  std::shared_ptr<Network> network_;
  std::uint32_t seed_;
  std::vector<RunRequest> runs_;
  std::vector<Outcome> outcomes_;
};

void compare_mixes(const std::string& device, std::uint32_t first, std::uint32_t count) {
  for (const SecondOutput second : {SecondOutput::kNone, SecondOutput::kHead, SecondOutput::kLearned}) {
    const SmallNetwork small(second);
    const std::shared_ptr<Network> network = small.load(device);
    for (std::uint32_t seed = first; seed < first + count; ++seed) {
      Mix mix(3 * seed + static_cast<std::uint32_t>(second), network, second != SecondOutput::kNone);
      mix.run();
      mix.compare();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Batches, GiveEverySampleWhatItIsAlone) { compare_mixes("cpu", 0, 334); }

TEST(Batches, GiveEverySampleWhatItIsAloneOnEveryInstructionSet) {
  for (const std::string& isa : usable_isas()) {
    const ScopedEnvironment forced("DPM_CPU_ISA", isa);
    SCOPED_TRACE(isa);
    compare_mixes("cpu", 1000, 8);
  }
}

TEST(Batches, GiveEverySampleWhatItIsAloneOnTheReferenceDevice) { compare_mixes("reference", 2000, 4); }

TEST_F(OneBatch, RunsHigherPrioritiesThenLowerKeysThenWhoCameFirst) {
  Batch batch(evaluator_of(network_), {1, 8});
  std::vector<Outcome> outcomes(4);
  std::vector<int> order;
  const auto submit = [&](std::size_t i, std::int32_t priority, double key) {
    auto request = batch_request(plain(2), outcomes[i], priority, key);
    request->finished = [&order, i](const BatchOutcome&) { order.push_back(static_cast<int>(i)); };
    batch.submit(std::move(request));
  };
  submit(0, 0, 5);
  submit(1, 0, 2);
  submit(2, 0, 2);
  submit(3, 1, 9);
  finish_all(batch);
  EXPECT_EQ(order, (std::vector<int>{3, 1, 2, 0}));
}

TEST_F(OneBatch, InterruptsASampleForOneThatComesBeforeIt) {
  Batch batch(evaluator_of(network_), {1, 2});
  Outcome slow;
  Outcome quick;
  batch.submit(batch_request(plain(6), slow, 0, 10));
  turns(batch, 3);
  batch.submit(batch_request(plain(2), quick, 0, 1));
  turns(batch, 2);
  EXPECT_EQ(quick.code, ErrorCode::kOk);
  EXPECT_FALSE(slow.code);
  turns(batch, 2);
  EXPECT_FALSE(slow.code);
  turns(batch, 1);
  EXPECT_EQ(slow.code, ErrorCode::kOk);
  EXPECT_EQ(slow.result.images.floats, alone(*network_, plain(6)).images.floats);
}

TEST_F(OneBatch, GivesNoSlotToASampleThatWouldNotRun) {
  Batch batch(evaluator_of(network_), {2, 4});
  Outcome many;
  Outcome urgent;
  batch.submit(batch_request(plain(9, 20), many, 0, 1));
  turns(batch, 1);
  EXPECT_EQ(batch.statistics().resident, 2u);
  EXPECT_EQ(batch.statistics().waiting, 18u);
  // The batch can be interrupted twice here; the second time a sample has to wait for a slot.
  batch.submit(batch_request(plain(1, 2), urgent, 1));
  turns(batch, 1);
  EXPECT_EQ(urgent.code, ErrorCode::kOk);
  EXPECT_EQ(batch.statistics().resident, 2u);
  finish_all(batch);
  EXPECT_EQ(many.code, ErrorCode::kOk);
  EXPECT_EQ(batch.statistics().steps, 1u + 9u * 10u);
  EXPECT_EQ(batch.statistics().rows, 2u + 9u * 20u);
}

TEST_F(OneBatch, GivesNoSlotToASampleThatOneThatWasPassedOverComesBefore) {
  Batch batch(evaluator_of(network_), {2, 4});
  std::vector<Outcome> outcomes(4);
  RunRequest guided = plain(9);
  guided.samples[0].guidance = 2;
  batch.submit(batch_request(plain(9), outcomes[0], 0, 0));
  batch.submit(batch_request(plain(9), outcomes[2], 0, 2));
  turns(batch, 1);
  // The two rows of the guided sample do not fit beside the first one: the other runs in its place, and the guided one
  // is next.
  batch.submit(batch_request(std::move(guided), outcomes[1], 0, 1));
  turns(batch, 1);
  EXPECT_EQ(batch.statistics().resident, 3u);
  batch.submit(batch_request(plain(9), outcomes[3], 0, 0.5));
  turns(batch, 1);
  EXPECT_EQ(batch.statistics().resident, 3u);
  EXPECT_EQ(batch.statistics().waiting, 1u);
  finish_all(batch);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::kOk);
}

TEST_F(OneBatch, ShowsStatesAndDataPredictionsAndSamplesThatAreDone) {
  RunRequest run = plain(6, 2);
  run.records = small_program(6, 0.5F);
  show_data_as_state(run.records);
  run.preview_every = 2;
  const auto previews = [&](bool predictions, bool levels) {
    RunRequest shown = run;
    shown.levels = levels;
    std::vector<std::vector<float>> images;
    shown.preview = [&](std::uint32_t record, std::uint32_t sample, RunImages image) {
      images.emplace_back(image.floats.begin(), image.floats.end());
      images.back().insert(images.back().end(), image.levels.begin(), image.levels.end());
      images.back().push_back(static_cast<float>(100 * record + sample));
    };
    std::vector<std::uint32_t> done;
    Outcome outcome;
    auto request = batch_request(shown, outcome);
    if (predictions) preview_predictions(*request, run.records);
    request->image = [&](std::uint32_t sample, const RunImages& image) {
      done.push_back(sample);
      EXPECT_EQ(image.floats.size() + image.levels.size(), SmallNetwork::kElements);
    };
    Batch batch(evaluator_of(network_), {3, 4});
    batch.submit(std::move(request));
    finish_all(batch);
    EXPECT_EQ(outcome.code, ErrorCode::kOk);
    EXPECT_EQ(done, (std::vector<std::uint32_t>{0, 1}));
    return images;
  };
  const auto states = previews(false, false);
  ASSERT_EQ(states.size(), 6u);
  EXPECT_EQ(states[1].back(), 201.0F);
  RunRequest cut = run;
  cut.preview_every = 0;
  cut.programs[0].count = 2;
  const std::vector<float> after_two = alone(*network_, cut).images.floats;
  EXPECT_TRUE(std::equal(states[0].begin(), states[0].end() - 1, after_two.begin()));
  EXPECT_EQ(previews(true, false), states);
  EXPECT_EQ(previews(true, true), previews(false, true));
  // Other coefficients give another preview.
  run.records[1].x0_out = 0.1F;
  EXPECT_NE(previews(true, false), states);
}

TEST_F(OneBatch, TellsProgressOfAllSamplesOfARequest) {
  Batch batch(evaluator_of(network_), {4, 4});
  std::vector<std::uint64_t> told;
  RunRequest run = plain(3, 2);
  run.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, 6u);
    told.push_back(done);
  };
  Outcome outcome;
  batch.submit(batch_request(std::move(run), outcome));
  finish_all(batch);
  EXPECT_EQ(told, (std::vector<std::uint64_t>{2, 4, 6}));
}

TEST_F(OneBatch, TellsHowLongARequestWaitedAndRan) {
  Batch batch(evaluator_of(network_), {1, 2});
  Outcome first;
  Outcome second;
  const auto start = std::chrono::steady_clock::now();
  batch.submit(batch_request(plain(3), first));
  batch.submit(batch_request(plain(2), second));
  finish_all(batch);
  const double all = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GT(first.run_seconds, 0);
  EXPECT_LT(first.queued_seconds, second.queued_seconds);
  // The second waits until the first has run.
  EXPECT_GE(second.queued_seconds, first.run_seconds);
  EXPECT_LE(second.queued_seconds + second.run_seconds, all);
}

TEST_F(OneBatch, AllocatesNothingInAStep) {
  Batch batch(evaluator_of(network_), {5, 8});
  std::vector<Outcome> outcomes(4);
  RandomValues random(1);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    RunRequest run = plain(40, 2);
    // The run has guided samples, given noise, records that do not evaluate and others that keep their prediction.
    run.samples[0].guidance = 2;
    if (i == 1) run.noise = random.normals(std::size_t{40} * 2 * SmallNetwork::kElements);
    // The device keeps results that depend on a time alone: these are known after the first steps.
    for (std::size_t record = 0; record < run.records.size(); ++record) run.records[record].time = 100 * (record % 3);
    for (std::size_t record = 3; record < run.records.size(); record += 3) {
      run.records[record].flags &= ~static_cast<std::uint32_t>(DPM_RECORD_EVALUATE);
    }
    batch.submit(batch_request(std::move(run), outcomes[i], 0, static_cast<double>(i % 2)));
  }
  turns(batch, 12);
  const std::uint64_t before = allocations();
  turns(batch, 25);
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(batch.statistics().steps, 37u);
  finish_all(batch);
}

TEST_F(OneBatch, RefusesWhatItCannotRun) {
  Batch batch(evaluator_of(network_), {1, 2});
  Outcome outcome;
  const auto refused = [&](auto change) {
    auto request = batch_request(plain(2), outcome);
    change(*request);
    return code_of([&] { batch.check(*request); }) == ErrorCode::kArgument;
  };
  EXPECT_FALSE(refused([](BatchRequest&) {}));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.keys.clear(); }));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.keys[0] = std::nan(""); }));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.data_predictions.resize(3); }));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.run.samples[0].guidance = 2; }));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.run.samples[0].label = 3; }));
  EXPECT_TRUE(refused([](BatchRequest& r) { r.run.noise.resize(SmallNetwork::kElements * std::size_t{0} + 7); }));
  // The program has one noisy record.
  EXPECT_FALSE(refused([](BatchRequest& r) { r.run.noise.resize(SmallNetwork::kElements); }));
  EXPECT_TRUE(refused([](BatchRequest& r) {
    r.run = plain(4);
    r.run.noise.resize(2 * std::size_t{SmallNetwork::kElements});
  }));
  for (const BatchOptions& wrong :
       {BatchOptions{0, 1}, BatchOptions{3, 1}, BatchOptions{1, 70000}, BatchOptions{1, 1, true, false, 0}}) {
    EXPECT_EQ(code_of([&] { Batch(evaluator_of(network_), wrong); }), ErrorCode::kArgument);
  }
}

TEST_F(OneBatch, GivesOnlyTheStatesThatLieInARowTogether) {
  // The slots of samples have another order than the samples in their request, and are beside those of another.
  Batch batch(evaluator_of(network_), {3, 3});
  std::vector<Outcome> outcomes(2);
  RunRequest pair = plain(3, 2);
  pair.snapshot_every = 1;
  auto first = batch_request(pair, outcomes[0]);
  first->keys = {2, 0};
  RunRequest other = plain(3, 1);
  other.samples[0].seed_low = 77;
  batch.submit(std::move(first));
  batch.submit(batch_request(other, outcomes[1], 0, 1));
  finish_all(batch);
  expect_equal(outcomes[0].result, alone(*network_, pair), "samples the other way round");
  expect_equal(outcomes[1].result, alone(*network_, other), "between them");
  // The second sample of one request has its slot behind the first of another.
  std::vector<Outcome> more(2);
  auto late = batch_request(pair, more[0]);
  late->keys = {9, 1};
  Batch again(evaluator_of(network_), {2, 2});
  again.submit(batch_request(other, more[1], 0, 0));
  again.submit(std::move(late));
  finish_all(again);
  expect_equal(more[0].result, alone(*network_, pair), "behind another");
  expect_equal(more[1].result, alone(*network_, other), "before another");
}

TEST_F(OneBatch, TakesNoTurnOnceItHasEnded) {
  Batch batch(evaluator_of(network_), {1, 1});
  batch.end(ErrorCode::kDevice, "the card is gone");
  // Cancelling other work makes all of an engine's batches look for cancelled requests.
  batch.look_for_cancelled();
  EXPECT_TRUE(batch.has_work());
  batch.take_turn();
  EXPECT_FALSE(batch.has_work());
  EXPECT_EQ(batch.statistics().steps, 0u);
}

TEST_F(OneBatch, TellsEveryRequestOfItsEnd) {
  Batch batch(evaluator_of(network_), {2, 4});
  std::vector<Outcome> outcomes(3);
  batch.submit(batch_request(plain(9, 4), outcomes[0]));
  turns(batch, 2);
  batch.submit(batch_request(plain(9), outcomes[1]));
  batch.end(ErrorCode::kDevice, "the card is gone");
  batch.end(ErrorCode::kClosed, "later");
  EXPECT_FALSE(batch.has_work());
  batch.submit(batch_request(plain(9), outcomes[2]));
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.calls, 1);
    EXPECT_EQ(outcome.code, ErrorCode::kDevice);
    EXPECT_EQ(outcome.message, "the card is gone");
    EXPECT_TRUE(outcome.result.images.floats.empty());
  }
  EXPECT_EQ(batch.statistics().waiting, 0u);
  EXPECT_EQ(batch.statistics().resident, 0u);
}

TEST_F(OneBatch, EndsWithTheErrorOfItsDevice) {
  Batch batch(evaluator_of(network_), {2, 4});
  std::vector<Outcome> outcomes(2);
  batch.submit(batch_request(plain(9), outcomes[0]));
  turns(batch, 1);
  // A callback of a step throws, as a device may.
  RunRequest broken = plain(9);
  broken.progress = [](std::uint64_t, std::uint64_t) { throw Error(ErrorCode::kDevice, "the card is gone"); };
  batch.submit(batch_request(std::move(broken), outcomes[1]));
  turns(batch, 1);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::kDevice);
  Outcome late;
  batch.submit(batch_request(plain(1), late));
  EXPECT_EQ(late.code, ErrorCode::kDevice);
}

}  // namespace
}  // namespace dpm::test
