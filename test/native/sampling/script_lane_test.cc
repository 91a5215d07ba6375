// Batches of a network that a script evaluates.
#include <gtest/gtest.h>

#include "core/error.h"
#include "sampling/lane_requests.h"

namespace dpm::test {
namespace {

TEST(ScriptLanes, WaitForTheirAnswers) {
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
  Lane lane(std::move(owned), {4, 8, true, false, 1, [&] { ++questions; }});
  for (std::size_t i = 0; i < runs.size(); ++i) lane.submit(lane_request(runs[i], outcomes[i]));
  // The network answers for the script, one row at a time.
  const auto answer = [&] {
    std::vector<float> out;
    for (std::size_t row = 0; row < evaluator.times().size(); ++row) {
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row * SmallNetwork::kElements);
      const std::vector<float> x(evaluator.states().begin() + first,
                                 evaluator.states().begin() + first + SmallNetwork::kElements);
      RunRequest one;
      dpm_record record{};
      record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X;
      record.time = evaluator.times()[row];
      record.input_scale = 1;
      record.x_out = 1;
      one.records = {record};
      one.programs = {{0, 1, 0, 1.0F}};
      one.samples = {{0, 0, 0, 0, evaluator.labels()[row]}};
      one.init = x;
      const std::vector<float> predicted = run_programs(*network, one, running).images.floats;
      out.insert(out.end(), predicted.begin(), predicted.end());
    }
    evaluator.answer(out, {});
  };
  int answered = 0;
  for (int turn = 0; turn < 10000 && (lane.has_work() || evaluator.waits()); ++turn) {
    lane.take_turn();
    if (!evaluator.waits()) continue;
    EXPECT_FALSE(lane.has_work());
    lane.take_turn();
    answer();
    lane.end_step();
    EXPECT_EQ(questions, ++answered);
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    ASSERT_EQ(outcomes[i].code, ErrorCode::kOk) << outcomes[i].message;
    expect_equal(outcomes[i].result, run_programs(*network, runs[i], running), "request " + std::to_string(i));
  }
}

TEST(ScriptLanes, LoseOnlyTheRequestsOfAStepThatFails) {
  const NetworkShape shape{4, 4, 0, 0};
  auto owned = std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), shape);
  ScriptEvaluator& evaluator = *owned;
  Lane lane(std::move(owned), {2, 4});
  std::vector<Outcome> outcomes(2);
  RunRequest run;
  run.records = small_program(2, 0.5F);
  run.programs = {{0, 2, 2, 1.0F}};
  run.samples = {{0, 1, 0, 0}, {0, 1, 0, 1}, {0, 1, 0, 2}};
  lane.submit(lane_request(run, outcomes[0], 1));
  run.samples.resize(1);
  lane.submit(lane_request(run, outcomes[1]));
  lane.take_turn();
  ASSERT_TRUE(evaluator.waits());
  EXPECT_TRUE(evaluator.labels().empty());
  evaluator.give_up();
  lane.abandon_step(ErrorCode::kInternal, "the model failed");
  EXPECT_EQ(outcomes[0].code, ErrorCode::kInternal);
  EXPECT_EQ(outcomes[0].calls, 1);
  EXPECT_EQ(lane.statistics().waiting, 1u);
  for (int step = 0; step < 2; ++step) {
    lane.take_turn();
    ASSERT_TRUE(evaluator.waits());
    evaluator.answer(std::vector<float>(4, 0.5F), {});
    lane.end_step();
  }
  EXPECT_EQ(outcomes[1].code, ErrorCode::kOk);
  // Nobody waits for these.
  EXPECT_FALSE(lane.waits());
  lane.end_step();
  lane.abandon_step(ErrorCode::kInternal, "late");
  EXPECT_EQ(lane.statistics().steps, 2u);
}

TEST(ScriptLanes, CanBeLeftWhileTheyWait) {
  auto owned = std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), NetworkShape{4, 4, 0, 0});
  ScriptEvaluator& evaluator = *owned;
  Lane lane(std::move(owned), {2, 2});
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
    auto request = lane_request(std::move(run), outcomes[i]);
    request->data_predictions.assign(4, 0.5F);
    lane.submit(std::move(request));
  }
  lane.take_turn();
  ASSERT_TRUE(lane.waits());
  // One that takes part in the step, and one that has no slot yet.
  for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) cancelled[i]->store(true);
  lane.look_for_cancelled();
  EXPECT_TRUE(lane.has_work());
  lane.take_turn();
  EXPECT_FALSE(lane.has_work());
  EXPECT_EQ(outcomes[0].code, ErrorCode::kAborted);
  EXPECT_EQ(outcomes[2].code, ErrorCode::kAborted);
  EXPECT_TRUE(lane.waits());
  for (int step = 0; step < 2; ++step) {
    const std::size_t rows = evaluator.times().size();
    EXPECT_EQ(rows, step == 0 ? 2u : 1u);
    evaluator.answer(std::vector<float>(4 * rows, 0.5F), {});
    lane.end_step();
    lane.take_turn();
  }
  EXPECT_EQ(outcomes[1].code, ErrorCode::kOk);
  EXPECT_EQ(outcomes[0].calls + outcomes[1].calls + outcomes[2].calls, 3);
}

TEST(ScriptLanes, WaitForNothingOnceTheyHaveEnded) {
  Lane lane(std::make_unique<ScriptEvaluator>(Device::open("cpu", {1, false}), NetworkShape{4, 4, 0, 0}), {1, 1});
  Outcome outcome;
  RunRequest run;
  run.records = small_program(2, 0.5F);
  run.programs = {{0, 2, 2, 1.0F}};
  run.samples = {{0, 1, 0, 0}};
  lane.submit(lane_request(run, outcome));
  lane.take_turn();
  EXPECT_TRUE(lane.waits());
  lane.end(ErrorCode::kClosed, "closed");
  EXPECT_EQ(outcome.code, ErrorCode::kClosed);
  EXPECT_FALSE(lane.waits());
  lane.end_step();
  EXPECT_EQ(outcome.calls, 1);
}

}  // namespace
}  // namespace dpm::test
