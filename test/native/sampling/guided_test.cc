// Test of runs that are guided by classifiers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph_runner.h"
#include "sampling/run.h"
#include "small_network.h"
#include "small_programs.h"

namespace dpm::test {
namespace {

constexpr int kClasses = 4;

/// Loads a classifier of images of two channels on a device: a convolution, SiLU, and a mixture of every map. Weights
/// have deviation `scale`.
std::shared_ptr<Network> load_guide(const std::shared_ptr<Device>& device, int side = SmallNetwork::kSide,
                                    Derivative derivative = Derivative::kLabelScore, float scale = 0,
                                    int classes = kClasses) {
  RandomValues random(11);
  GraphMaker maker(random);
  const graph::Convolution same{.kernel = 3, .pad_before = 1, .pad_after = 1};
  const int maps = maker.convolution(maker.image(2, side, side), classes, same, scale);
  maker.leave(maker.separable(maker.silu(maker.bias(maps)), 1, 1));
  NetworkOptions options;
  options.classes = derivative == Derivative::kLabelScore ? classes : 0;
  options.derivative = derivative;
  return std::make_shared<Network>(device, maker.graph(), options);
}

/// Returns samples of one program, whose records take guides.
RunRequest guided_request(std::uint32_t count, std::uint32_t batch) {
  RunRequest request = mixed_request(count, batch);
  for (SampleIdentity& sample : request.samples) sample.program = 0;
  for (dpm_record& record : request.records) {
    if ((record.flags & DPM_RECORD_WRITE_X) != 0) record.x_guide = 0.25F;
  }
  return request;
}

class GuidedRuns : public testing::Test {
 protected:
  std::vector<float> images(const RunRequest& request) {
    return run_programs(*network_, request, running_).images.floats;
  }
  Guide guide(float scale, std::uint32_t count = 5) const {
    Guide made{guide_, {}, scale};
    for (std::uint32_t i = 0; i < count; ++i) made.labels.push_back(static_cast<std::int32_t>(i) % kClasses);
    return made;
  }
  ErrorCode code(const RunRequest& request) {
    return code_of([&] { images(request); });
  }

  SmallNetwork small_;
  std::unique_ptr<Network> network_ = small_.load("cpu", 1);
  std::shared_ptr<Network> guide_ = load_guide(network_->device().shared_from_this());
  std::atomic<bool> running_{false};
};

TEST_F(GuidedRuns, AddScaledGradients) {
  const RunRequest plain = [] {
    RunRequest request = guided_request(5, 5);
    for (dpm_record& record : request.records) record.x_guide = 0;
    return request;
  }();
  const auto unguided = images(plain);
  const auto with = [&](const std::vector<float>& scales, std::uint32_t batch = 5) {
    RunRequest request = guided_request(5, batch);
    for (const float scale : scales) request.guides.push_back(guide(scale));
    return images(request);
  };
  EXPECT_LT(relative_difference(with({0}), unguided), 1e-5);
  const auto guided = with({3});
  EXPECT_GT(relative_difference(guided, unguided), 1e-3);
  EXPECT_LT(relative_difference(with({1, 2}), guided), 1e-5);
  EXPECT_LT(relative_difference(with({4, 2, -3}), guided), 1e-5);
  EXPECT_EQ(with({3}, 2), guided);
}

TEST_F(GuidedRuns, KnowTheLabelsOfTheirSamples) {
  RunRequest all = guided_request(5, 2);
  all.guides = {guide(2)};
  const auto together = images(all);
  const std::size_t image = SmallNetwork::kElements;
  for (std::uint32_t i = 0; i < 5; ++i) {
    RunRequest one = guided_request(5, 1);
    one.samples = {one.samples[i]};
    one.guides = {guide(2)};
    one.guides[0].labels = {static_cast<std::int32_t>(i) % kClasses};
    const auto alone = images(one);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + static_cast<std::ptrdiff_t>(i * image)));
    one.guides[0].labels = {static_cast<std::int32_t>(i + 1) % kClasses};
    EXPECT_NE(images(one), alone);
  }
}

TEST_F(GuidedRuns, AskNobodyWhereNoRecordTakesAGuide) {
  RunRequest request = guided_request(2, 2);
  for (dpm_record& record : request.records) record.x_guide = 0;
  // All of these records evaluate.
  request.programs[0].count = 3;
  const auto plain = images(request);
  // The guide's gradients are infinite, so a call of it would be refused.
  request.guides = {guide(1, 2)};
  request.guides[0].network = load_guide(network_->device().shared_from_this(), SmallNetwork::kSide,
                                         Derivative::kLabelScore, std::numeric_limits<float>::infinity());
  EXPECT_EQ(images(request), plain);
  request.records[0].x_guide = 1;
  EXPECT_EQ(code(request), ErrorCode::kArgument);
}

TEST_F(GuidedRuns, HaveTheGradientOfTheLastEvaluationInRecordsThatEvaluateNothing) {
  const auto with = [&](float before, float factor) {
    RunRequest request = guided_request(2, 2);
    for (dpm_record& record : request.records) record.x_guide = 0;
    request.records[2].x_guide = before;
    request.records[3].x_guide = factor;
    EXPECT_FALSE(evaluates(request.records[3]));
    request.guides = {guide(3, 2)};
    return images(request);
  };
  // So little asks for the gradient and moves nothing.
  EXPECT_LT(relative_difference(with(0, 0.25F), with(1e-30F, 0.25F)), 1e-6);
  EXPECT_GT(relative_difference(with(0, 0.25F), with(0, 0)), 1e-3);
}

/// On the emulated card, whose memory is guarded.
TEST(GuidesOnACard, MayHaveOtherNumbersOfClasses) {
  const auto device = Device::open("cuda:0", {});
  Network network(device, SmallNetwork().graph(), SmallNetwork::options());
  const auto few = load_guide(device);
  const auto many = load_guide(device, SmallNetwork::kSide, Derivative::kLabelScore, 0, 1000);
  const std::atomic<bool> running{false};
  const auto images = [&](const std::shared_ptr<Network>& first, const std::shared_ptr<Network>& second) {
    RunRequest request = guided_request(2, 2);
    request.guides = {{first, {1, 2}, 2}, {second, {1, 2}, 2}};
    return run_programs(network, request, running).images.floats;
  };
  EXPECT_LT(relative_difference(images(many, few), images(few, many)), 1e-5);
}

TEST_F(GuidedRuns, RefuseGradientsThatAreNotFinite) {
  RunRequest request = guided_request(2, 2);
  request.guides = {guide(1, 2), guide(1, 2)};
  EXPECT_EQ(code(request), ErrorCode::kOk);
  request.init.assign(std::size_t{2} * SmallNetwork::kElements, 0.0F);
  request.init.back() = std::numeric_limits<float>::infinity();
  EXPECT_EQ(code(request), ErrorCode::kArgument);
}

TEST_F(GuidedRuns, RefuseGuidesThatDoNotFit) {
  const auto changed = [&](const std::function<void(RunRequest&)>& change) {
    RunRequest request = guided_request(2, 2);
    request.guides = {guide(1, 2)};
    change(request);
    return code(request);
  };
  const auto device = network_->device().shared_from_this();
  EXPECT_EQ(changed([](RunRequest&) {}), ErrorCode::kOk);
  EXPECT_EQ(changed([](RunRequest& r) { r.guides[0].labels.pop_back(); }), ErrorCode::kArgument);
  EXPECT_EQ(changed([](RunRequest& r) { r.guides[0].labels[1] = kClasses; }), ErrorCode::kArgument);
  EXPECT_EQ(changed([](RunRequest& r) { r.guides[0].labels[0] = -1; }), ErrorCode::kArgument);
  EXPECT_EQ(changed([](RunRequest& r) { r.guides[0].scale = std::nanf(""); }), ErrorCode::kArgument);
  EXPECT_EQ(changed([](RunRequest& r) { r.samples[1].program = 1; }), ErrorCode::kArgument);
  EXPECT_EQ(changed([&](RunRequest& r) { r.guides[0].network = load_guide(device, 4); }), ErrorCode::kArgument);
  EXPECT_EQ(changed([&](RunRequest& r) {
              r.guides[0].network = load_guide(device, SmallNetwork::kSide, Derivative::kPullback);
            }),
            ErrorCode::kArgument);
  EXPECT_EQ(changed([&](RunRequest& r) { r.guides[0].network = load_guide(Device::open("cpu", {1, false})); }),
            ErrorCode::kArgument);
}

}  // namespace
}  // namespace dpm::test
