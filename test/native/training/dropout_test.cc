// Test of what a training run tells its dropouts, against the streams that they are said to have.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <vector>

#include "backend/dropout_math.h"
#include "core/error.h"
#include "core/philox.h"
#include "graph_maker.h"
#include "slot_noise.h"
#include "training/draws.h"
#include "training/trainer.h"

namespace dpm::training {
namespace {

using test::GraphMaker;
using test::noise_at;
using test::RandomValues;

constexpr int kChannels = 3;
constexpr int kSide = 3;
constexpr int kPixels = kSide * kSide;
constexpr std::uint32_t kElements = kChannels * kPixels;
constexpr float kFirstRate = 0.25F;
constexpr float kSecondRate = 0.6F;

/// A product of channels between two dropouts.
graph::Graph dropping(RandomValues& random) {
  GraphMaker maker(random);
  const int image = maker.image(kChannels, kSide, kSide);
  maker.time();
  const int draws = maker.graph().add_input(DPM_BINDING_DRAWS, kDropoutBytes, 1, 1);
  const int dropped = maker.add(DPM_OP_DROPOUT, {image, draws}, graph::Dropout{kFirstRate});
  const int mixed = maker.convolution(dropped, kChannels, {});
  maker.output(maker.add(DPM_OP_DROPOUT, {mixed, draws}, graph::Dropout{kSecondRate}));
  return maker.graph();
}

TrainerOptions options_of(std::uint32_t batch, std::uint32_t accumulate) {
  TrainerOptions options;
  options.batch = batch;
  options.accumulate = accumulate;
  options.seed = 1099511627779;
  options.levels = {{.image = 0.6, .noise = 0.8}};
  return options;
}

/// Factor of an element by the stream of a dropout.
double factor(const TrainerOptions& options, float rate, std::uint32_t draw, std::uint32_t step, std::uint32_t slot,
              std::uint32_t element) {
  const Seed seed = Seed::of(options.seed);
  const PhiloxWords words = philox4x32(element / 4, step, slot, draw, seed.low, seed.high);
  const double kept = 1 - static_cast<double>(rate);
  return static_cast<double>(words.word[element % 4]) * 0x1p-32 >= static_cast<double>(rate) ? 1 / kept : 0;
}

TEST(TrainingDropout, DropsByStepAndSlotInAStreamOfItsOwn) {
  RandomValues random(3);
  const graph::Graph graph = dropping(random);
  const auto* weights = static_cast<const float*>(graph.constants[0].data);
  const TrainerOptions options = options_of(2, 2);
  Dataset dataset;
  dataset.values = random.normals(kElements, 0.5F);
  // More than two bytes of it are not zero.
  constexpr std::uint32_t kStep = 0x01020305;
  double expected = 0;
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    for (std::uint32_t out = 0; out < kElements; ++out) {
      double sum = 0;
      for (std::uint32_t c = 0; c < kChannels; ++c) {
        const std::uint32_t in = c * kPixels + out % kPixels;
        const double x =
            0.6 * static_cast<double>(dataset.values[in]) + 0.8 * noise_at(Seed::of(options.seed), kStep, slot, in);
        sum += static_cast<double>(weights[out / kPixels * kChannels + c]) * x *
               factor(options, kFirstRate, 16, kStep, slot, in);
      }
      sum *= factor(options, kSecondRate, 17, kStep, slot, out);
      expected += std::pow(sum - noise_at(Seed::of(options.seed), kStep, slot, out), 2) / kElements / 4;
    }
  }
  TrainingSteps steps;
  steps.first_step = kStep;
  steps.rates = {0};
  steps.average_decays = {0};
  for (const char* name : {"reference", "cpu"}) {
    Trainer trainer(Device::open(name, {}), graph, {}, options, dataset);
    EXPECT_NEAR(trainer.run(steps, std::atomic<bool>(false)).losses[0], expected, 1e-5 * expected) << name;
  }
}

TEST(TrainingDropout, IsForTrainingRunsAlone) {
  RandomValues random(3);
  const auto device = Device::open("reference", {});
  Network network(device, dropping(random), {});
  network.reserve(1);
  const auto image = device->allocate(kElements * sizeof(float));
  Evaluation evaluation;
  evaluation.batch = 1;
  evaluation.image = evaluation.out = image->view(kElements);
  const float time = 0;
  EXPECT_THROW(network.evaluate(evaluation, &time), Error);
}

}  // namespace
}  // namespace dpm::training
