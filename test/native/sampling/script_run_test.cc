// The same loop where somebody else predicts, and single predictions by its step.
#include "sampling/script_run.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/predict.h"
#include "sampling/runner.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kElements = SmallNetwork::kElements;

/// Programs of samples without labels, which a script knows nothing of.
RunRequest plain_request(std::uint32_t count) {
  RunRequest request = mixed_request(count, count);
  for (SampleIdentity& sample : request.samples) sample.label = -1;
  return request;
}

NetworkShape plain_shape(std::uint64_t head = 0) { return {kElements, kElements, head, 0}; }

/// What a network predicts for states in main memory.
std::vector<float> predicted(Network& network, const std::vector<float>& states, const std::vector<float>& times) {
  PredictRequest request;
  request.times = times;
  request.labels.assign(times.size(), -1);
  request.x = network.device().allocate(states.size() * sizeof(float));
  request.x->upload(0, states.data(), states.size() * sizeof(float));
  request.out = network.device().allocate(states.size() * sizeof(float));
  predict(network, request);
  std::vector<float> out(states.size());
  request.out->download(0, out.data(), out.size() * sizeof(float));
  return out;
}

TEST(ScriptRuns, AreTheRunsOfANetworkThatAnswersAlike) {
  SmallNetwork small;
  for (const char* device : {"cpu", "reference"}) {
    const auto network = small.load(device);
    const std::atomic<bool> running{false};
    const auto expected = run_programs(*network, plain_request(5), running).images.floats;
    ScriptRun run(Device::open(device, {}), plain_shape(), plain_request(5));
    int asked = 0;
    int silent = 0;
    while (run.ask()) {
      (run.times().empty() ? silent : asked) += 1;
      EXPECT_EQ(run.states().size(), run.times().size() * kElements);
      // Programs of five and of eight records: later only the longer ones ask.
      if (asked > 5) {
        EXPECT_EQ(run.times().size(), 2u);
      }
      run.answer(run.times().empty() ? std::vector<float>{} : predicted(*network, run.states(), run.times()), {});
    }
    EXPECT_EQ(asked, 7);
    EXPECT_EQ(silent, 1);
    EXPECT_EQ(run.states_now(), expected) << device;
    EXPECT_FALSE(run.ask());
  }
}

TEST(ScriptRuns, RefuseAnswersThatDoNotFit) {
  ScriptRun run(Device::open("cpu", {}), plain_shape(kElements), plain_request(2));
  const std::vector<float> out(std::size_t{2} * kElements);
  EXPECT_EQ(code_of([&] { run.answer(out, out); }), ErrorCode::kArgument);
  ASSERT_TRUE(run.ask());
  EXPECT_EQ(code_of([&] { run.ask(); }), ErrorCode::kArgument);
  EXPECT_EQ(code_of([&] { run.answer(out, {}); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { run.answer({1.0F}, out); }), ErrorCode::kTensorShape);
  run.answer(out, out);
  RunRequest labelled = mixed_request(2, 2);
  EXPECT_EQ(code_of([&] { ScriptRun(Device::open("cpu", {}), plain_shape(), labelled); }), ErrorCode::kArgument);
}

TEST(ScriptRuns, ReadTheSecondOutputOfTheAnswer) {
  RunRequest request = plain_request(1);
  request.records.resize(1);
  request.programs = {{0, 1, 2, 1.0F}};
  request.records[0].variance = DPM_VARIANCE_LINEAR;
  request.records[0].v1 = 1;
  request.records[0].high = 1e30F;
  EXPECT_EQ(code_of([&] { ScriptRun(Device::open("cpu", {}), plain_shape(), request); }), ErrorCode::kArgument);
  const auto final_states = [&](float head) {
    ScriptRun run(Device::open("cpu", {}), plain_shape(kElements), request);
    EXPECT_TRUE(run.ask());
    run.answer(std::vector<float>(kElements, 0.5F), std::vector<float>(kElements, head));
    return run.states_now();
  };
  EXPECT_EQ(final_states(0.0F), final_states(0.0F));
  EXPECT_NE(final_states(0.0F), final_states(1.0F));
}

TEST(ScriptRuns, GoOnFromStatesThatReplaceTheirs) {
  ScriptRun run(Device::open("cpu", {}), plain_shape(), plain_request(2));
  std::vector<float> states = run.states_now();
  ASSERT_EQ(states.size(), 2 * std::size_t{kElements});
  EXPECT_EQ(code_of([&] { run.replace(std::vector<float>(states.size() - 1)); }), ErrorCode::kTensorShape);
  EXPECT_EQ(code_of([&] { run.replace(std::vector<float>(states.size() + 1)); }), ErrorCode::kTensorShape);
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = static_cast<float>(i);
  run.replace(states);
  EXPECT_EQ(run.states_now(), states);
  ASSERT_TRUE(run.ask());
  EXPECT_EQ(code_of([&] { run.replace(states); }), ErrorCode::kArgument);
}

TEST(Predictions, AreThoseOfTheLoop) {
  SmallNetwork small;
  const auto network = small.load("cpu");
  const std::uint32_t count = 5;
  RandomValues random(3);
  // A record that replaces the state by the prediction.
  RunRequest run;
  dpm_record record{};
  record.flags = DPM_RECORD_EVALUATE | DPM_RECORD_WRITE_X;
  record.time = 321;
  record.input_scale = 1;
  record.x_out = 1;
  run.records = {record};
  run.programs = {{0, 1, 1, 1.0F}};
  run.init = random.normals(std::size_t{count} * kElements);
  run.unconditional_label = 2;
  run.batch = count;
  PredictRequest request;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(i % 3);
    const float guidance = 0.75F * static_cast<float>(i % 4);
    run.samples.push_back({0, 1, 0, i, label, guidance});
    request.times.push_back(321);
    request.labels.push_back(label);
    request.guidance.push_back(guidance);
  }
  request.unconditional_label = 2;
  request.x = network->device().allocate(run.init.size() * sizeof(float));
  request.x->upload(0, run.init.data(), run.init.size() * sizeof(float));
  request.out = network->device().allocate(run.init.size() * sizeof(float));
  predict(*network, request);
  std::vector<float> out(run.init.size());
  request.out->download(0, out.data(), out.size() * sizeof(float));
  const std::atomic<bool> running{false};
  EXPECT_EQ(out, run_programs(*network, run, running).images.floats);

  request.head = request.x;
  EXPECT_EQ(code_of([&] { predict(*network, request); }), ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
