#include "training/level_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "small_network.h"
#include "training/trainer.h"

namespace dpm::training {
namespace {

using test::RandomValues;
using test::SmallNetwork;

constexpr std::size_t kLosses = LevelSampler::kLosses;
constexpr std::uint32_t kHalf = 0x80000000;

LevelSampler by_losses(const std::vector<float>& losses) {
  LevelSampler sampler(LevelSampling::kLossSecondMoment, losses.size() / kLosses);
  sampler.set_losses(losses);
  return sampler;
}

TEST(LevelSampler, DrawsEvenlyUntilEveryLevelHasItsLosses) {
  LevelSampler sampler(LevelSampling::kLossSecondMoment, 2);
  for (std::size_t i = 0; i < kLosses; ++i) {
    sampler.note(1, 9);
    if (i > 0) sampler.note(2, 1);
  }
  sampler.refresh();
  EXPECT_EQ(sampler.draw(kHalf - 1).level, 1U);
  EXPECT_EQ(sampler.draw(kHalf).level, 2U);
  sampler.note(2, 1);
  EXPECT_EQ(sampler.draw(kHalf).level, 2U) << "before all samples of a step have been noted";
  EXPECT_EQ(sampler.draw(kHalf).weight, 1);
  sampler.refresh();
  EXPECT_EQ(sampler.draw(kHalf).level, 1U);
}

TEST(LevelSampler, DrawsByTheRootOfTheMeanSquareAndMakesUpForIt) {
  std::vector<float> losses(kLosses, 5);
  const std::array<double, 3> means = {std::sqrt((25.0 + 9) / 2), 0.5, 0};
  for (std::size_t i = 1; i < kLosses; i += 2) losses[i] = 3;
  losses.insert(losses.end(), kLosses, 0.5F);
  losses.insert(losses.end(), kLosses, 0.0F);
  const LevelSampler sampler = by_losses(losses);
  std::array<int, 3> counts{};
  double sum = 0;
  constexpr int kDraws = 1 << 18;
  for (int i = 0; i < kDraws; ++i) {
    const DrawnLevel drawn = sampler.draw(static_cast<std::uint32_t>(i) << 14);
    const double probability = means[drawn.level - 1] / (means[0] + means[1]) * 0.999 + 0.001 / 3;
    ASSERT_NEAR(drawn.weight, 1 / (3 * probability), 1e-12 * drawn.weight);
    ++counts[drawn.level - 1];
    sum += drawn.weight;
  }
  for (std::size_t level = 0; level < 3; ++level) {
    const double probability = means[level] / (means[0] + means[1]) * 0.999 + 0.001 / 3;
    EXPECT_NEAR(counts[level], kDraws * probability, 1);
  }
  EXPECT_NEAR(sum / kDraws, 1, 0.01);
  EXPECT_EQ(sampler.draw(0xFFFFFFFF).level, 3U);
}

TEST(LevelSampler, ForgetsTheOldestLoss) {
  LevelSampler sampler(LevelSampling::kLossSecondMoment, 2);
  for (int loss = 0; loss < 12; ++loss) sampler.note(2, loss);
  const std::vector<float>& losses = sampler.losses();
  for (std::size_t i = 0; i < kLosses; ++i) {
    EXPECT_EQ(losses[i], -1);
    EXPECT_EQ(losses[kLosses + i], static_cast<float>(i + 2));
  }
}

TEST(LevelSampler, DrawsEvenlyOfLossesThatSayNothing) {
  const LevelSampler sampler = by_losses(std::vector<float>(2 * kLosses, 0));
  EXPECT_EQ(sampler.draw(kHalf - 1).level, 1U);
  EXPECT_EQ(sampler.draw(kHalf).weight, 1);
}

TEST(LevelSampler, RemembersNothingOfEvenDraws) {
  LevelSampler sampler(LevelSampling::kUniform, 2);
  for (std::size_t i = 0; i < 2 * kLosses; ++i) sampler.note(1 + i % 2, static_cast<double>(i % 2));
  sampler.refresh();
  EXPECT_TRUE(sampler.losses().empty());
  EXPECT_EQ(sampler.draw(kHalf - 1).level, 1U);
}

TEST(LevelSampler, RefusesOtherLosses) {
  const auto refused = [](std::size_t index, float loss) {
    std::vector<float> losses(2 * kLosses, 1);
    losses[2 * kLosses - 1] = -1;
    losses[index] = loss;
    EXPECT_THROW(by_losses(losses), Error) << index << " " << loss;
  };
  refused(3, std::numeric_limits<float>::quiet_NaN());
  refused(3, std::numeric_limits<float>::infinity());
  refused(3, -2);
  refused(3, -1);
  LevelSampler sampler(LevelSampling::kLossSecondMoment, 2);
  EXPECT_THROW(sampler.set_losses(std::vector<float>(kLosses, 1)), Error);
}

TrainerOptions options_of(std::uint32_t batch, std::uint32_t accumulate = 1) {
  TrainerOptions options;
  options.batch = batch;
  options.accumulate = accumulate;
  options.level_sampling = LevelSampling::kLossSecondMoment;
  options.levels = {{.image = 1, .noise = 0.1, .time = 0}, {.image = 0.2, .noise = 0.98, .time = 700}};
  return options;
}

Dataset images() {
  Dataset dataset;
  RandomValues random(12);
  dataset.values = random.normals(7 * SmallNetwork::kElements, 0.5F);
  for (std::int32_t i = 0; i < 7; ++i) dataset.labels.push_back(i % 3);
  return dataset;
}

StepResult run(Trainer& trainer, std::uint64_t first, std::size_t count, double rate = 1e-3) {
  TrainingSteps steps;
  steps.first_step = first;
  steps.rates.assign(count, rate);
  steps.average_decays.assign(count, 0.9);
  return trainer.run(steps, std::atomic<bool>(false));
}

std::vector<float> read(const Trainer& trainer, ParameterTensor which) {
  std::vector<float> values(trainer.parameters().elements());
  trainer.read(which, values.data());
  return values;
}

TEST(LevelLosses, AreThoseOfTheSamplesWithoutTheirWeights) {
  const SmallNetwork network;
  const auto device = Device::open("reference", {});
  Trainer trainer(device, network.graph(), SmallNetwork::options(), options_of(16), images());
  const StepResult result = run(trainer, 0, 1, 0);
  double sum = 0;
  int count = 0;
  for (const float loss : trainer.level_losses()) {
    if (loss < 0) continue;
    sum += static_cast<double>(loss);
    ++count;
  }
  EXPECT_EQ(count, 16);
  EXPECT_NEAR(sum / 16, result.losses[0], 1e-6 * result.losses[0]);
}

TEST(LevelLosses, LeaveTheExpectedLossAsItIs) {
  const SmallNetwork network;
  const auto device = Device::open("reference", {});
  const auto mean_loss = [&](LevelSampling sampling) {
    TrainerOptions options = options_of(32);
    options.level_sampling = sampling;
    Trainer trainer(device, network.graph(), SmallNetwork::options(), options, images());
    const StepResult result = run(trainer, 0, 40, 0);
    double sum = 0;
    for (std::size_t i = 8; i < 40; ++i) sum += result.losses[i];
    return sum / 32;
  };
  const double even = mean_loss(LevelSampling::kUniform);
  EXPECT_NEAR(mean_loss(LevelSampling::kLossSecondMoment), even, 0.03 * even);
}

/// Norms of the gradients and losses of a step whose samples have all the level that is drawn nearly always, over those
/// of a step of even draws.
std::pair<double, double> ratios_of(Loss loss) {
  const SmallNetwork network(loss == Loss::kHybrid ? test::SecondOutput::kLearned : test::SecondOutput::kNone);
  const auto device = Device::open("reference", {});
  const auto measured = [&](LevelSampling sampling) {
    TrainerOptions options = options_of(4);
    options.level_sampling = sampling;
    options.loss = loss;
    options.levels[0].step_back = {-3, -1, 0.3, 0.2};
    // Of two levels that are the same no draw can be told from another.
    options.levels[1] = options.levels[0];
    Trainer trainer(device, network.graph(), SmallNetwork::options(), options, images());
    if (sampling == LevelSampling::kLossSecondMoment) {
      std::vector<float> losses(2 * kLosses, 0);
      std::fill_n(losses.begin(), kLosses, 1.0F);
      trainer.set_level_losses(losses);
    }
    const StepResult result = run(trainer, 0, 1, 0);
    return std::pair(result.norms[0], result.losses[0]);
  };
  const auto [norm, value] = measured(LevelSampling::kLossSecondMoment);
  const auto [even_norm, even_value] = measured(LevelSampling::kUniform);
  return {norm / even_norm, value / even_value};
}

TEST(LevelLosses, WeighGradientsByHowOftenTheirLevelsAreDrawn) {
  constexpr double kWeight = 1 / (2 * (0.999 + 0.001 / 2));
  for (const Loss loss : {Loss::kPrediction, Loss::kHybrid}) {
    const auto [norm, value] = ratios_of(loss);
    EXPECT_NEAR(norm, kWeight, 1e-5) << static_cast<int>(loss);
    EXPECT_NEAR(value, kWeight, 1e-5) << static_cast<int>(loss);
  }
}

TEST(LevelLosses, LetARunGoOnAsIfItHadNeverStopped) {
  const SmallNetwork network;
  const auto device = Device::open("reference", {});
  const auto open = [&] {
    return std::make_unique<Trainer>(device, network.graph(), SmallNetwork::options(), options_of(8, 2), images());
  };
  const auto whole = open();
  run(*whole, 0, 6);
  const auto first = open();
  run(*first, 0, 3);
  const auto second = open();
  for (const auto which : {ParameterTensor::kParameters, ParameterTensor::kFirstMoments,
                           ParameterTensor::kSecondMoments, ParameterTensor::kAverage}) {
    second->write(which, read(*first, which).data());
  }
  second->set_level_losses(first->level_losses());
  run(*second, 3, 3);
  EXPECT_EQ(read(*second, ParameterTensor::kParameters), read(*whole, ParameterTensor::kParameters));
  EXPECT_EQ(second->level_losses(), whole->level_losses());
}

TEST(LevelLosses, StayAsTheyWereWhereAStepIsNotTaken) {
  const SmallNetwork network;
  const auto device = Device::open("reference", {});
  Dataset dataset = images();
  dataset.values.assign(dataset.values.size(), std::numeric_limits<float>::infinity());
  Trainer trainer(device, network.graph(), SmallNetwork::options(), options_of(2), dataset);
  EXPECT_NE(run(trainer, 0, 1).failure, "");
  for (const float loss : trainer.level_losses()) ASSERT_EQ(loss, -1);
}

TEST(LevelLosses, AreForLossesOfTheOutput) {
  for (const Loss loss : {Loss::kResidual, Loss::kNoise, Loss::kCurvature, Loss::kCrossEntropy}) {
    TrainerOptions options = options_of(2);
    options.loss = loss;
    EXPECT_THROW(check_options(options), Error);
  }
  check_options(options_of(2));
}

}  // namespace
}  // namespace dpm::training
