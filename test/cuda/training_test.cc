// Test of training runs on the CUDA device against the CPU's.
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "evaluate_network.h"
#include "small_network.h"
#include "training/trainer.h"

namespace dpm::training {
namespace {

using test::RandomValues;
using test::SmallNetwork;

const std::atomic<bool> kGoesOn{false};
constexpr std::uint32_t kBatch = 5;
constexpr std::size_t kSteps = 4;
constexpr ParameterTensor kTensors[] = {ParameterTensor::kParameters, ParameterTensor::kFirstMoments,
                                        ParameterTensor::kSecondMoments, ParameterTensor::kAverage};

TrainerOptions options_of(std::uint32_t batch, std::uint32_t accumulate = 1) {
  TrainerOptions options;
  options.batch = batch;
  options.accumulate = accumulate;
  options.seed = 5;
  options.label_dropout = 0.3;
  options.clip = 1;
  // Steps of gradients that vanish would be those of their noise.
  options.adam.epsilon = 1e-4;
  options.adam.decay = 0.01;
  constexpr int kLevels = 10;
  double product = 1;
  for (int n = 1; n <= kLevels; ++n) {
    product *= 1 - 0.05 * n;
    options.levels.push_back({std::sqrt(product), std::sqrt(1 - product), 0, 1, 1, static_cast<float>(n - 1)});
  }
  return options;
}

std::unique_ptr<Trainer> trainer_of(const std::shared_ptr<Device>& device, const TrainerOptions& options) {
  const SmallNetwork network;
  Dataset dataset;
  dataset.values = RandomValues(12).normals(std::size_t{11} * SmallNetwork::kElements, 0.5F);
  for (std::int32_t i = 0; i < 11; ++i) dataset.labels.push_back(i % 3);
  return std::make_unique<Trainer>(device, network.graph(), SmallNetwork::options(), options, std::move(dataset));
}

TrainingSteps steps(std::uint64_t first, std::size_t count) {
  TrainingSteps request;
  request.first_step = first;
  request.rates.assign(count, 1e-2);
  request.average_decays.assign(count, 0.9);
  return request;
}

std::vector<float> read(const Trainer& trainer, ParameterTensor which) {
  std::vector<float> values(trainer.parameters().elements());
  trainer.read(which, values.data());
  return values;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum);
}

class CudaTraining : public test::CudaDevice {
 protected:
  /// Compares a run with the CPU's, with differences as far as the parameters have moved.
  static void expect_as_cpu(const std::shared_ptr<Device>& device, const TrainerOptions& options, double tolerance) {
    const auto expected = trainer_of(Device::open("cpu", {2, true}), options);
    const auto found = trainer_of(device, options);
    const std::vector<float> before = read(*expected, ParameterTensor::kParameters);
    const StepResult expected_steps = expected->run(steps(0, kSteps), kGoesOn);
    const StepResult found_steps = found->run(steps(0, kSteps), kGoesOn);
    for (std::size_t k = 0; k < kSteps; ++k) {
      EXPECT_NEAR(found_steps.losses[k], expected_steps.losses[k], tolerance * expected_steps.losses[k]) << k;
      EXPECT_NEAR(found_steps.norms[k], expected_steps.norms[k], 2 * tolerance * expected_steps.norms[k]) << k;
    }
    const std::vector<float> after = read(*expected, ParameterTensor::kParameters);
    for (const ParameterTensor which : {ParameterTensor::kParameters, ParameterTensor::kAverage}) {
      EXPECT_LT(distance(read(*found, which), read(*expected, which)), 10 * tolerance * distance(after, before));
    }
  }
};

TEST_F(CudaTraining, IsThatOfTheCpu) {
  for (const char* products : {"bare", "none"}) {
    const test::ScopedEnvironment emulated("DPM_EMULATED_PRODUCTS", products);
    SCOPED_TRACE(products);
    expect_as_cpu(Device::open("cuda:0", {}), options_of(kBatch), 2e-4);
  }
}

TEST_F(CudaTraining, IsThatOfTheCpuWhereValuesAreComputedAgainAndGradientsAccumulate) {
  TrainerOptions options = options_of(2, 2);
  options.recompute = graph::Recompute::kBlocks;
  for (Level& level : options.levels) {
    level.data_target = -level.noise;
    level.noise_target = level.image;
  }
  expect_as_cpu(device_, options, 2e-4);
}

TEST_F(CudaTraining, IsNearThatOfTheCpuInBfloat16) { expect_as_cpu(open(DType::kBFloat16), options_of(kBatch), 3e-2); }

TEST_F(CudaTraining, GoesOnFromAnyStepAsIfItHadNeverStopped) {
  const auto whole = trainer_of(device_, options_of(3));
  const StepResult expected = whole->run(steps(0, 5), kGoesOn);
  const auto first = trainer_of(device_, options_of(3));
  first->run(steps(0, 3), kGoesOn);
  const auto second = trainer_of(device_, options_of(3));
  for (const ParameterTensor which : kTensors) second->write(which, read(*first, which).data());
  const StepResult rest = second->run(steps(3, 2), kGoesOn);
  for (std::size_t k = 0; k < rest.losses.size(); ++k) EXPECT_EQ(rest.losses[k], expected.losses[3 + k]) << k;
  for (const ParameterTensor which : kTensors) EXPECT_EQ(read(*second, which), read(*whole, which));
}

TEST_F(CudaTraining, LaunchesEvaluationsAndPackingAsGraphsThatComputeTheSame) {
  const auto run = [](const std::shared_ptr<Device>& device, std::size_t count) {
    const auto trainer = trainer_of(device, options_of(3));
    trainer->run(steps(0, count), kGoesOn);
    return read(*trainer, ParameterTensor::kParameters);
  };
  const auto without_graphs = [&] {
    const test::ScopedEnvironment off("DPM_CUDA_GRAPHS", "off");
    return run(Device::open("cuda:0", {}), 6);
  };
  const auto captured = [](const std::shared_ptr<Device>& device) { return device->statistics()->captured_graphs; };
  const auto device = Device::open("cuda:0", {});
  EXPECT_EQ(run(device, 6), without_graphs());
  EXPECT_EQ(captured(device), 2U);
  const auto once = Device::open("cuda:0", {});
  run(once, 1);
  EXPECT_EQ(captured(once), 1U) << "the packing of the loading and of the step";
}

TEST_F(CudaTraining, EndsBeforeAStepThatIsNotFinite) {
  const auto trainer = trainer_of(device_, options_of(1));
  trainer->run(steps(0, 2), kGoesOn);
  const std::vector<float> before = read(*trainer, ParameterTensor::kParameters);
  TrainingSteps request = steps(2, 1);
  request.samples = {std::vector<float>(SmallNetwork::kElements, 0.5F),
                     {3},
                     std::vector<float>(SmallNetwork::kElements, std::numeric_limits<float>::infinity()),
                     {1}};
  EXPECT_EQ(trainer->run(request, kGoesOn).failure, "the loss is not finite");
  EXPECT_EQ(read(*trainer, ParameterTensor::kParameters), before);
  const auto other = trainer_of(device_, options_of(1));
  other->run(steps(0, 3), kGoesOn);
  trainer->run(steps(2, 1), kGoesOn);
  EXPECT_EQ(read(*trainer, ParameterTensor::kParameters), read(*other, ParameterTensor::kParameters));
}

TEST_F(CudaTraining, MovesNoWeightsOfOtherNetworks) {
  const SmallNetwork small;
  Network outside(device_, small.graph(), SmallNetwork::options());
  const std::vector<float> before = test::evaluate_twice(outside, 3);
  const auto trainer = trainer_of(device_, options_of(3));
  trainer->run(steps(0, 2), kGoesOn);
  EXPECT_EQ(test::evaluate_twice(outside, 3), before);
}

}  // namespace
}  // namespace dpm::training
