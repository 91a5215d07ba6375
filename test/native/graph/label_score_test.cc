// Test of the derivative of ln p(label) by logits: its values on the reference device, its operands, and a classifier's
// gradient of it.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/network.h"
#include "graph/passes/derivatives.h"
#include "graph/validate.h"
#include "graph_maker.h"
#include "graph_runner.h"

namespace dpm::test {
namespace {

constexpr int kClasses = 5;

/// Makes a graph whose logits are the image.
graph::Graph score_of_image() {
  RandomValues none(0);
  GraphMaker maker(none);
  const int logits = maker.affine(maker.image(kClasses, 1, 1), 1, 0.5F);
  const int score = maker.add(DPM_OP_LABEL_SCORE, {logits, maker.label()});
  maker.output(maker.affine(score, 1));
  return maker.graph();
}

std::vector<float> expected_score(const std::vector<float>& logits, const std::vector<std::int32_t>& labels) {
  std::vector<float> result;
  for (std::size_t n = 0; n < labels.size(); ++n) {
    double sum = 0;
    for (int k = 0; k < kClasses; ++k) sum += std::exp(static_cast<double>(logits[n * kClasses + k]));
    for (int k = 0; k < kClasses; ++k) {
      const bool known = labels[n] >= 0 && labels[n] < kClasses;
      const double one = k == labels[n] ? 1.0 : 0.0;
      const double p = std::exp(static_cast<double>(logits[n * kClasses + k])) / sum;
      result.push_back(static_cast<float>(known ? one - p : 0.0));
    }
  }
  return result;
}

TEST(LabelScore, IsOneForTheLabelLessSoftmax) {
  const std::vector<float> logits = {1, 2, -3, 0, 4, 0, 0, 0, 0, 0, -1, -2, -3, -4, -5, 9, 1, 0, 2, 3, 1, 1, 2, 1, 1};
  const std::vector<std::int32_t> labels = {4, 0, -1, 2, kClasses};
  const std::vector<float> expected = expected_score(logits, labels);
  const auto found = run_graph(Device::open("reference", {}), score_of_image(), 5, {logits, {}, labels}, false);
  EXPECT_LT(relative_difference(found, expected), 1e-6);
}

TEST(LabelScore, WithoutLabelsIsZero) {
  const auto found = run_graph(Device::open("reference", {}), score_of_image(), 1, {{1, 2, 3, 4, 5}, {}, {-1}}, false);
  EXPECT_EQ(found, std::vector<float>(kClasses, 0.0F));
}

TEST(LabelScore, OfLargeLogitsDoesNotOverflow) {
  const std::vector<float> logits = {200, -200, 0, 199, -1e30F};
  for (const char* device : {"reference", "cpu", "cuda"}) {
    const auto found = run_graph(Device::open(device, {}), score_of_image(), 1, {logits, {}, {0}}, false);
    EXPECT_NEAR(found[0], 0.26894142, 1e-5) << device;
    EXPECT_NEAR(found[3], -0.26894142, 1e-5) << device;
    EXPECT_EQ(found[4], 0) << device;
  }
}

TEST(LabelScore, TakesAVectorAndTheLabel) {
  RandomValues random(1);
  const auto code = [&](int height, bool labelled) {
    GraphMaker maker(random);
    const int logits = maker.enter(maker.image(2, height, 1));
    const int second = labelled ? maker.label() : maker.time();
    return code_of([&] {
      maker.leave(maker.add(DPM_OP_LABEL_SCORE, {logits, second}));
      graph::validate(maker.graph());
    });
  };
  EXPECT_EQ(code(1, true), ErrorCode::kOk);
  EXPECT_EQ(code(2, true), ErrorCode::kTensorShape);
  EXPECT_EQ(code(1, false), ErrorCode::kArgument);
  // A label is allowed only as the second operand.
  EXPECT_EQ(code_of([&] {
              GraphMaker maker(random);
              maker.image(1, 1, 1);
              const int label = maker.label();
              maker.leave(maker.add(DPM_OP_LABEL_SCORE, {label, label}));
              graph::validate(maker.graph());
            }),
            ErrorCode::kArgument);
}

/// Makes a classifier whose logits are a matrix times the image of two pixels.
graph::Graph linear_classifier(RandomValues& random, bool has_label = false, bool has_head = false, int side = 1) {
  GraphMaker maker(random);
  const int image = maker.view(maker.enter(maker.image(3, side, side)), side, side);
  if (has_label) maker.row(maker.label(), 4, 3);
  const int logits = maker.bias(maker.convolution(image, kClasses, {.kernel = 1}));
  maker.leave(logits);
  if (has_head) maker.head(maker.affine(logits, 2));
  return maker.graph();
}

TEST(LabelScore, IsPulledBackToTheImage) {
  RandomValues random(3);
  const graph::Graph classifier = linear_classifier(random);
  NetworkOptions plain;
  NetworkOptions score;
  score.classes = kClasses;
  score.derivative = Derivative::kLabelScore;
  const auto device = Device::open("reference", {});
  Network forward(device, classifier, plain);
  Network derived(device, classifier, score);
  EXPECT_EQ(derived.shape().classes, kClasses);
  const auto buffer = [&](std::vector<float> values) {
    auto made = device->allocate(values.size() * sizeof(float));
    made->upload(0, values.data(), values.size() * sizeof(float));
    return made;
  };
  const auto logits_at = [&](const std::vector<float>& x) {
    const auto image = buffer(x);
    const auto out = buffer(std::vector<float>(kClasses));
    Evaluation evaluation;
    evaluation.batch = 1;
    evaluation.image = image->view(3);
    evaluation.out = out->view(kClasses);
    forward.reserve(1);
    const float time = 0;
    forward.evaluate(evaluation, &time);
    std::vector<float> result(kClasses);
    out->download(0, result.data(), kClasses * sizeof(float));
    return result;
  };
  const std::vector<float> x = {0.3F, -1, 2};
  const auto image = buffer(x);
  const auto out = buffer(std::vector<float>(kClasses));
  const auto gradient = buffer(std::vector<float>(3));
  const auto labels = device->allocate(sizeof(std::int32_t));
  const std::int32_t label = 3;
  labels->upload(0, &label, sizeof label);
  Evaluation evaluation;
  evaluation.batch = 1;
  evaluation.image = image->view(3);
  evaluation.labels = labels->view(1);
  evaluation.out = out->view(kClasses);
  evaluation.image_cotangent = gradient->view(3);
  derived.reserve(1);
  const float time = 0;
  derived.evaluate(evaluation, &time);
  std::vector<float> found(3);
  gradient->download(0, found.data(), 3 * sizeof(float));
  const auto log_probability = [&](const std::vector<float>& at) {
    const std::vector<float> logits = logits_at(at);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return static_cast<double>(logits[3]) - std::log(sum);
  };
  for (std::size_t i = 0; i < 3; ++i) {
    constexpr float kStep = 1e-2F;
    std::vector<float> above = x;
    std::vector<float> below = x;
    above[i] += kStep;
    below[i] -= kStep;
    EXPECT_NEAR(found[i], (log_probability(above) - log_probability(below)) / (2 * static_cast<double>(kStep)), 1e-4);
  }
}

TEST(LabelScore, IsOfClassifiers) {
  RandomValues random(3);
  const auto code = [](graph::Graph graph) { return code_of([&] { graph::differentiate_label(graph); }); };
  EXPECT_EQ(code(linear_classifier(random)), ErrorCode::kOk);
  EXPECT_EQ(code(linear_classifier(random, true)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(linear_classifier(random, false, true)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(linear_classifier(random, false, false, 2)), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dpm::test
