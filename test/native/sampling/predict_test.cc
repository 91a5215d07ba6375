// Test of single predictions by the loop's step.
#include "sampling/predict.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "graph_runner.h"
#include "sampling/run.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr std::uint32_t kElements = SmallNetwork::kElements;

TEST(Predictions, AreThoseOfTheLoop) {
  SmallNetwork small;
  const auto network = small.load("cpu");
  const std::uint32_t count = 5;
  RandomValues random(3);
  // The run has a record that replaces the state by the prediction.
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
  PredictInputs request;
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
