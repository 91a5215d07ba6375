// Test of the keys of evaluations' graphs. Every case differs from the captured ones in one thing, and is compared with
// a network that has captured nothing.
#include <utility>

#include "captured_graphs.h"

namespace dpm::test {
namespace {

class CapturedEvaluations : public CapturedGraphs {
 protected:
  Evaluation evaluation() {
    Evaluation e;
    e.batch = kBatch;
    e.image = image().view();
    e.time = times().view(1);
    e.labels = labels(0).view(1);
    e.out = image().view();
    e.head = image().view();
    return e;
  }

  std::vector<std::string> evaluated(Network& network, const Evaluation& e) const {
    return after([&] { network.evaluate(e, nullptr); });
  }

  /// Repeats an evaluation until its graph is launched.
  void repeat(Network& network, const Evaluation& e) const {
    for (int i = 0; i < 3; ++i) network.evaluate(e, nullptr);
    ASSERT_GT(launches([&] { network.evaluate(e, nullptr); }), 0u);
  }
};

TEST_F(CapturedEvaluations, AreNotThoseOfAnotherEvaluation) {
  const Evaluation base = evaluation();
  using Change = std::function<void(Evaluation&)>;
  const std::vector<std::pair<const char*, Change>> changes = {
      {"image", [view = image().view()](Evaluation& e) { e.image = view; }},
      {"time", [view = times().view(1)](Evaluation& e) { e.time = view; }},
      {"labels", [view = labels(2).view(1)](Evaluation& e) { e.labels = view; }},
      {"no labels", [](Evaluation& e) { e.labels = {}; }},
      {"output", [view = image().view()](Evaluation& e) { e.out = view; }},
      {"head", [view = image().view()](Evaluation& e) { e.head = view; }},
      {"stride of the image", [](Evaluation& e) { e.image.stride = 2 * kElements; }},
      {"stride of the output", [](Evaluation& e) { e.out.stride = 2 * kElements; }},
      {"stride of the head", [](Evaluation& e) { e.head.stride = 2 * kElements; }},
      {"smaller batch", [](Evaluation& e) { e.batch = kBatch - 1; }},
      {"larger batch", [](Evaluation& e) { e.batch = kBatch + 1; }},
  };
  for (const auto& [name, change] : changes) {
    Evaluation other = base;
    change(other);
    const auto network = made_.load(device_);
    repeat(*network, base);
    EXPECT_EQ(evaluated(*network, other), evaluated(*made_.load(device_), other)) << name;
  }
}

TEST_F(CapturedEvaluations, OfDerivativesAreNotThoseOfAnother) {
  const std::pair<Derivative, std::vector<dpm_view Evaluation::*>> derivatives[] = {
      {Derivative::kPullback, {&Evaluation::out_cotangent, &Evaluation::head_cotangent, &Evaluation::image_cotangent}},
      {Derivative::kPushforward, {&Evaluation::image_tangent, &Evaluation::out_tangent, &Evaluation::head_tangent}},
  };
  for (const auto& [derivative, tensors] : derivatives) {
    Evaluation base = evaluation();
    for (const auto tensor : tensors) base.*tensor = image().view();
    const auto expect_own = [&, derivative = derivative](const Evaluation& other, std::size_t tensor) {
      const auto network = made_.load(device_, derivative);
      repeat(*network, base);
      EXPECT_EQ(evaluated(*network, other), evaluated(*made_.load(device_, derivative), other))
          << "tensor " << tensor << " of derivative " << static_cast<int>(derivative);
    };
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      Evaluation other = base;
      other.*tensors[i] = image().view();
      expect_own(other, i);
      other = base;
      (other.*tensors[i]).stride = 2 * kElements;
      expect_own(other, i);
    }
  }
}

TEST_F(CapturedEvaluations, AreForgottenWhenManyOthersHaveBeenSinceThen) {
  Evaluation evaluation_of_one = evaluation();
  evaluation_of_one.batch = 1;
  const auto network = made_.load(device_);
  const auto evaluate = [&](std::uint64_t stride) {
    Evaluation e = evaluation_of_one;
    e.image.stride = stride;
    return launches([&] { network->evaluate(e, nullptr); });
  };
  EXPECT_EQ(evaluate(1), 0U);
  EXPECT_EQ(evaluate(1), 1U);
  // Each of these is evaluated only once, so that none is captured.
  for (std::uint64_t other = 2; other < 200; ++other) EXPECT_EQ(evaluate(other), 0U);
  EXPECT_EQ(evaluate(1), 0U);
}

TEST_F(CapturedEvaluations, GoWithTheScratchMemoryTheyUse) {
  const Evaluation large = [&] {
    Evaluation e = evaluation();
    e.batch = kMostBatch;
    return e;
  }();
  Evaluation small = large;
  small.batch = 2;
  const auto network = made_.load(device_);
  repeat(*network, large);
  // The emulated products need more memory for two samples than for four.
  network->evaluate(small, nullptr);
  EXPECT_EQ(launches([&] { network->evaluate(large, nullptr); }), 0u);
}

}  // namespace
}  // namespace dpm::test
