// Test of batches of a network that a script evaluates.
#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/batch_requests.h"

namespace dpm::test {
namespace {

TEST(ScriptBatches, WaitForTheirAnswers) {
  const SmallNetwork small;
  const std::shared_ptr<Network> network = small.load("cpu");
  const NetworkShape shape{SmallNetwork::kElements, SmallNetwork::kElements, 0, 3};
  const std::atomic<bool> running{false};
  RandomValues random(5);
  std::vector<RunRequest> runs(6);
  for (RunRequest& run : runs) run = random_run(random, false);
  std::vector<Outcome> outcomes(runs.size() + 1);
  auto owned = std::make_unique<ScriptEvaluator>(Device::open("cpu", {2, false}), shape);
  ScriptEvaluator& evaluator = *owned;
  int questions = 0;
  Batch batch(std::move(owned), {4, 8, true, false, 1, false, false, [&](const Question&) { ++questions; }});
  for (std::size_t i = 0; i < runs.size(); ++i) batch.submit(batch_request(runs[i], outcomes[i]));
  // The network answers for the script, one row at a time.
  const auto answer = [&] {
    std::vector<float> out;
    for (std::size_t row = 0; row < evaluator.question()->times.size(); ++row) {
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row * SmallNetwork::kElements);
      const std::vector<float> x(evaluator.question()->states.begin() + first,
                                 evaluator.question()->states.begin() + first + SmallNetwork::kElements);
      RunRequest one;
      dpm_record record{};
      record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X;
      record.time = evaluator.question()->times[row];
      record.input_scale = 1;
      record.x_out = 1;
      one.records = {record};
      one.programs = {{0, 1, 0, 1.0F}};
      one.samples = {{0, 0, 0, 0, evaluator.question()->labels[row]}};
      one.init = x;
      const std::vector<float> predicted = run_programs(*network, one, running).images.floats;
      out.insert(out.end(), predicted.begin(), predicted.end());
    }
    batch.answer(out, {});
  };
  int answered = 0;
  for (int turn = 0; turn < 10000 && (batch.has_work() || batch.waits()); ++turn) {
    batch.take_turn();
    if (!batch.waits()) continue;
    EXPECT_FALSE(batch.has_work());
    batch.take_turn();
    answer();
    EXPECT_EQ(questions, ++answered);
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    ASSERT_EQ(outcomes[i].code, ErrorCode::kOk) << outcomes[i].message;
    expect_equal(outcomes[i].result, alone(*network, runs[i]), "request " + std::to_string(i));
  }
}

TEST(ScriptBatches, LoseOnlyTheRequestsOfAStepThatFails) {
  const NetworkShape shape{4, 4, 0, 0};
  auto owned = std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), shape);
  ScriptEvaluator& evaluator = *owned;
  Batch batch(std::move(owned), {2, 4});
  std::vector<Outcome> outcomes(2);
  RunRequest run;
  run.records = small_program(2, 0.5F);
  run.programs = {{0, 2, 2, 1.0F}};
  run.samples = {{0, 1, 0, 0}, {0, 1, 0, 1}, {0, 1, 0, 2}};
  batch.submit(batch_request(run, outcomes[0], 1));
  run.samples.resize(1);
  batch.submit(batch_request(run, outcomes[1]));
  batch.take_turn();
  ASSERT_TRUE(batch.waits());
  EXPECT_TRUE(evaluator.question()->labels.empty());
  batch.abandon_step(ErrorCode::kInternal, "the model failed");
  EXPECT_EQ(outcomes[0].code, ErrorCode::kInternal);
  EXPECT_EQ(outcomes[0].calls, 1);
  EXPECT_EQ(batch.statistics().waiting, 1u);
  for (int step = 0; step < 2; ++step) {
    batch.take_turn();
    ASSERT_TRUE(batch.waits());
    batch.answer(std::vector<float>(4, 0.5F), {});
  }
  EXPECT_EQ(outcomes[1].code, ErrorCode::kOk);
  // The batch does not wait for these calls.
  EXPECT_FALSE(batch.waits());
  EXPECT_EQ(code_of([&] { batch.answer(std::vector<float>(4), {}); }), ErrorCode::kArgument);
  batch.abandon_step(ErrorCode::kInternal, "late");
  EXPECT_EQ(batch.statistics().steps, 2u);
}

TEST(ScriptBatches, CanBeLeftWhileTheyWait) {
  auto owned = std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), NetworkShape{4, 4, 0, 0});
  ScriptEvaluator& evaluator = *owned;
  Batch batch(std::move(owned), {2, 2});
  std::vector<Outcome> outcomes(3);
  std::vector<std::shared_ptr<std::atomic<bool>>> cancelled;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    RunRequest run;
    run.records = small_program(2, 0.5F);
    run.programs = {{0, 2, 2, 1.0F}};
    run.samples = {{0, 1, 0, static_cast<std::uint32_t>(i)}};
    run.preview_every = 1;
    run.preview = [](std::uint32_t, std::uint32_t, const RunImages&) {};
    run.noise.resize(4);
    cancelled.push_back(std::make_shared<std::atomic<bool>>(false));
    run.cancelled = cancelled.back();
    auto request = batch_request(std::move(run), outcomes[i]);
    request->data_predictions.assign(4, 0.5F);
    batch.submit(std::move(request));
  }
  batch.take_turn();
  ASSERT_TRUE(batch.waits());
  // The cancelled requests are one that takes part in the step, and one that has no slot yet.
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) cancelled[i]->store(true);
  batch.look_for_cancelled();
  EXPECT_TRUE(batch.has_work());
  batch.take_turn();
  EXPECT_FALSE(batch.has_work());
  EXPECT_EQ(outcomes[0].code, ErrorCode::kAborted);
  EXPECT_EQ(outcomes[2].code, ErrorCode::kAborted);
  EXPECT_TRUE(batch.waits());
  for (int step = 0; step < 2; ++step) {
    const std::size_t rows = evaluator.question()->times.size();
    EXPECT_EQ(rows, step == 0 ? 2u : 1u);
    batch.answer(std::vector<float>(4 * rows, 0.5F), {});
    batch.take_turn();
  }
  EXPECT_EQ(outcomes[1].code, ErrorCode::kOk);
  EXPECT_EQ(outcomes[0].calls + outcomes[1].calls + outcomes[2].calls, 3);
}

TEST(ScriptBatches, WaitForNothingOnceTheyHaveEnded) {
  Batch batch(std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), NetworkShape{4, 4, 0, 0}), {1, 1});
  Outcome outcome;
  RunRequest run;
  run.records = small_program(2, 0.5F);
  run.programs = {{0, 2, 2, 1.0F}};
  run.samples = {{0, 1, 0, 0}};
  batch.submit(batch_request(run, outcome));
  batch.take_turn();
  EXPECT_TRUE(batch.waits());
  batch.end(ErrorCode::kClosed, "closed");
  EXPECT_EQ(outcome.code, ErrorCode::kClosed);
  EXPECT_FALSE(batch.waits());
  EXPECT_EQ(code_of([&] { batch.answer(std::vector<float>(4), {}); }), ErrorCode::kArgument);
  EXPECT_EQ(outcome.calls, 1);
}

/// Fixture of two samples of one program on a network, whose batch asks a function.
class AskingBatches : public testing::Test {
 protected:
  static constexpr std::size_t kStates = 2 * std::size_t{SmallNetwork::kElements};

  static RunRequest pair() {
    RunRequest run = short_request(2, 3);
    for (dpm_record& record : run.records) record.flags |= DPM_RECORD_EVALUATE;
    return run;
  }

  BatchOptions options(bool constrains) {
    BatchOptions options;
    options.rows = options.slots = 2;
    options.constrains = constrains;
    options.question = [this](const Question& question) { asked_.push_back(question); };
    return options;
  }

  const SmallNetwork small_;
  std::shared_ptr<Network> network_ = small_.load("cpu");
  std::vector<Question> asked_;
  Outcome outcome_;
};

TEST_F(AskingBatches, GoOnFromTheStatesOfAConstraint) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), options(true));
  RunRequest run = pair();
  run.snapshot_every = 1;
  std::vector<std::uint64_t> told;
  run.progress = [&](std::uint64_t done, std::uint64_t) { told.push_back(done); };
  batch.submit(batch_request(run, outcome_));
  for (std::uint32_t record = 1; record <= 3; ++record) {
    batch.take_turn();
    ASSERT_TRUE(batch.waits());
    ASSERT_EQ(asked_.size(), record);
    const Question& question = asked_.back();
    EXPECT_EQ(question.asked, Asked::kConstraint);
    EXPECT_EQ(question.record, record);
    EXPECT_EQ(question.sample, 0u);
    ASSERT_EQ(question.states.size(), kStates);
    EXPECT_EQ(code_of([&] { batch.answer(std::vector<float>(kStates - 1), {}); }), ErrorCode::kTensorShape);
    EXPECT_EQ(told.size(), record - 1) << "nothing is done before the answer";
    std::vector<float> states = question.states;
    // The states after the first record stay, those after the second are replaced.
    if (record == 2) std::fill(states.begin(), states.end(), 0.25F);
    batch.answer(states, {});
  }
  ASSERT_EQ(outcome_.code, ErrorCode::kOk);
  const RunResult plain = alone(*network_, run);
  EXPECT_EQ(outcome_.result.snapshots[0].images.floats, plain.snapshots[0].images.floats);
  EXPECT_EQ(outcome_.result.snapshots[1].images.floats, std::vector<float>(kStates, 0.25F));
  EXPECT_NE(outcome_.result.images.floats, plain.images.floats);
  EXPECT_EQ(outcome_.result.images.floats, asked_.back().states);
  EXPECT_EQ(told, (std::vector<std::uint64_t>{2, 4, 6}));
}

TEST_F(AskingBatches, EndWithAConstraintThatFails) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), options(true));
  RunRequest run = pair();
  run.programs[0].count = 1;
  batch.submit(batch_request(run, outcome_));
  batch.take_turn();
  ASSERT_TRUE(batch.waits());
  batch.abandon_step(ErrorCode::kInternal, "the function failed");
  EXPECT_EQ(outcome_.code, ErrorCode::kInternal);
  EXPECT_EQ(outcome_.message, "the function failed");
  EXPECT_EQ(outcome_.calls, 1);
  // The batch continues.
  Outcome next;
  batch.submit(batch_request(run, next));
  batch.take_turn();
  ASSERT_EQ(asked_.back().asked, Asked::kConstraint);
  batch.answer(asked_.back().states, {});
  EXPECT_EQ(next.code, ErrorCode::kOk);
  EXPECT_EQ(next.result.images.floats, alone(*network_, run).images.floats);
}

TEST_F(AskingBatches, CanBeLeftWhileAConstraintIsAsked) {
  Batch batch(std::make_unique<NetworkEvaluator>(network_), options(true));
  RunRequest run = pair();
  run.cancelled = std::make_shared<std::atomic<bool>>(false);
  batch.submit(batch_request(run, outcome_));
  batch.take_turn();
  ASSERT_TRUE(batch.waits());
  run.cancelled->store(true);
  batch.look_for_cancelled();
  batch.take_turn();
  EXPECT_EQ(outcome_.code, ErrorCode::kAborted);
  batch.answer(asked_.back().states, {});
  EXPECT_FALSE(batch.has_work());
  EXPECT_EQ(outcome_.calls, 1);
}

TEST_F(AskingBatches, TakeTheGradientsOfFunctions) {
  RunRequest run = pair();
  run.records[1].input_scale = 0.5F;
  run.records[1].x_guide = 2;
  const auto images = [&](float gradient) {
    asked_.clear();
    Batch batch(std::make_unique<ScriptGuidedEvaluator>(network_), options(false));
    Outcome outcome;
    batch.submit(batch_request(run, outcome));
    while (batch.has_work()) {
      batch.take_turn();
      if (!batch.waits()) continue;
      EXPECT_EQ(code_of([&] { batch.answer(std::vector<float>(kStates + 1), {}); }), ErrorCode::kTensorShape);
      batch.answer(std::vector<float>(kStates, gradient), {});
    }
    EXPECT_EQ(outcome.code, ErrorCode::kOk) << outcome.message;
    return outcome.result.images.floats;
  };
  RunRequest first = run;
  first.programs[0].count = 1;
  const std::vector<float> before = alone(*network_, first).images.floats;
  RunRequest plain = run;
  plain.records[1].x_guide = 0;
  EXPECT_LT(relative_difference(images(0), alone(*network_, plain).images.floats), 1e-6);
  // The function is asked where a record takes a guide, at the network's input there.
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].asked, Asked::kGuide);
  EXPECT_EQ(asked_[0].times, std::vector<float>(2, run.records[1].time));
  for (std::size_t i = 0; i < kStates; ++i) ASSERT_EQ(asked_[0].states[i], 0.5F * before[i]);
  RunRequest two = run;
  two.programs[0].count = 2;
  run = two;
  const std::vector<float> unmoved = images(0);
  const std::vector<float> moved = images(0.125F);
  for (std::size_t i = 0; i < kStates; ++i) EXPECT_NEAR(moved[i] - unmoved[i], 0.25F, 1e-5);
}

}  // namespace
}  // namespace dpm::test
