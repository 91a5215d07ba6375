// Test of training runs in memory: what is drawn, what is learned, and what is left where a run ends early.
#include "training/trainer.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/philox.h"
#include "graph_maker.h"
#include "slot_noise.h"
#include "small_network.h"
#include "training/draws.h"

namespace dpm::training {
namespace {

using test::GraphMaker;
using test::noise_at;
using test::RandomValues;
using test::SmallNetwork;

const std::atomic<bool> kGoesOn{false};

enum class Prediction { kEpsilon, kData, kVelocity };

/// The level of a network that preserves the variance.
Level level_of(double signal, Prediction prediction, float time) {
  const double image = std::sqrt(signal);
  const double noise = std::sqrt(1 - signal);
  switch (prediction) {
    case Prediction::kEpsilon:
      return {image, noise, 0, 1, 1, time, {}};
    case Prediction::kData:
      return {image, noise, 1, 0, 1, time, {}};
    default:
      return {image, noise, -noise, image, 1, time, {}};
  }
}

TrainerOptions options_of(std::uint32_t batch, std::uint32_t accumulate = 1) {
  TrainerOptions options;
  options.batch = batch;
  options.accumulate = accumulate;
  options.seed = 1099511627779;
  constexpr int kLevels = 10;
  double product = 1;
  for (int n = 1; n <= kLevels; ++n) {
    product *= 1 - 0.05 * n;
    options.levels.push_back(level_of(product, Prediction::kEpsilon, static_cast<float>(n - 1)));
  }
  return options;
}

Dataset small_dataset(std::size_t count) {
  RandomValues random(12);
  Dataset dataset;
  dataset.values = random.normals(count * SmallNetwork::kElements, 0.5F);
  for (std::size_t i = 0; i < count; ++i) dataset.labels.push_back(static_cast<std::int32_t>(i % 3));
  dataset.flips = true;
  return dataset;
}

std::unique_ptr<Trainer> trainer_of(const std::shared_ptr<Device>& device, const SmallNetwork& network,
                                    TrainerOptions options) {
  options.label_dropout = 0.3;
  return std::make_unique<Trainer>(device, network.graph(), SmallNetwork::options(), std::move(options),
                                   small_dataset(11));
}

/// Devices that compute gradients of weights and train.
std::vector<std::shared_ptr<Device>> training_devices() {
  std::vector<std::shared_ptr<Device>> devices;
  for (const char* name : {"reference", "cpu"}) {
    const auto device = Device::open(name, {2, false});
    try {
      trainer_of(device, SmallNetwork(), options_of(2));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << name;
      continue;
    }
    devices.push_back(device);
  }
  EXPECT_FALSE(devices.empty());
  return devices;
}

TrainingSteps steps(std::uint64_t first, std::size_t count, double rate = 1e-3) {
  TrainingSteps request;
  request.first_step = first;
  request.rates.assign(count, rate);
  request.average_decays.assign(count, 0.9);
  return request;
}

std::vector<float> read(const Trainer& trainer, ParameterTensor which = ParameterTensor::kParameters) {
  std::vector<float> values(trainer.parameters().elements());
  trainer.read(which, values.data());
  return values;
}

constexpr ParameterTensor kTensors[] = {ParameterTensor::kParameters, ParameterTensor::kFirstMoments,
                                        ParameterTensor::kSecondMoments, ParameterTensor::kAverage};

/// Returns the code and the message of what `body` throws.
template <typename Body>
std::string failure(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code())) + " " + error.what();
  }
  return "none";
}

TEST(Trainer, GoesOnFromAnyStepAsIfItHadNeverStopped) {
  const SmallNetwork network;
  for (const auto& device : training_devices()) {
    const auto whole = trainer_of(device, network, options_of(3));
    const StepResult expected = whole->run(steps(0, 6), kGoesOn);
    const auto first = trainer_of(device, network, options_of(3));
    first->run(steps(0, 3), kGoesOn);
    const auto second = trainer_of(device, network, options_of(3));
    for (const ParameterTensor which : kTensors) second->write(which, read(*first, which).data());
    const StepResult rest = second->run(steps(3, 3), kGoesOn);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(rest.losses[i], expected.losses[3 + i]) << device->name();
      EXPECT_EQ(rest.norms[i], expected.norms[3 + i]) << device->name();
    }
    for (const ParameterTensor which : kTensors) EXPECT_EQ(read(*second, which), read(*whole, which)) << device->name();
    EXPECT_NE(read(*whole), read(*first));
  }
}

TEST(Trainer, LearnsTheSameFromPartsOfABatch) {
  const SmallNetwork network;
  for (const auto& device : training_devices()) {
    const auto whole = trainer_of(device, network, options_of(4));
    const auto parts = trainer_of(device, network, options_of(2, 2));
    const StepResult expected = whole->run(steps(0, 3), kGoesOn);
    const StepResult result = parts->run(steps(0, 3), kGoesOn);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(result.losses[i], expected.losses[i], 1e-5 * expected.losses[i]) << device->name();
      EXPECT_NEAR(result.norms[i], expected.norms[i], 1e-4 * expected.norms[i]) << device->name();
    }
  }
}

/// Options of a network whose head learns: the last convolution of SmallNetwork and its bias.
NetworkOptions head_options(const SmallNetwork& network) {
  NetworkOptions options = SmallNetwork::options();
  const auto constants = static_cast<int>(network.graph().constants.size());
  options.learned = {constants - 2, constants - 1};
  return options;
}

TEST(Trainer, LearnsAHeadOnTheReferenceAndTheCardAsOnTheCpu) {
  const SmallNetwork network(test::SecondOutput::kHead);
  for (const Loss loss : {Loss::kResidual, Loss::kNoise, Loss::kCurvature}) {
    std::vector<StepResult> results;
    for (const char* name : {"reference", "cpu", "cuda:0"}) {
      TrainerOptions options = options_of(3);
      options.loss = loss;
      Trainer trainer(Device::open(name, {2, true}), network.graph(), head_options(network), options,
                      small_dataset(11));
      EXPECT_EQ(trainer.parameters().places().all().size(), 2U);
      results.push_back(trainer.run(steps(0, 4, 1e-2), kGoesOn));
    }
    for (const StepResult& result : results) {
      ASSERT_EQ(result.losses.size(), 4U);
      for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_NEAR(result.losses[i], results.front().losses[i], 1e-4 * results.front().losses[i]);
        EXPECT_NEAR(result.norms[i], results.front().norms[i], 1e-4 * results.front().norms[i]);
      }
    }
  }
}

TEST(Trainer, DrawsProbesAfterARunThatWasGivenSome) {
  const SmallNetwork network(test::SecondOutput::kHead);
  TrainerOptions options = options_of(1);
  options.loss = Loss::kCurvature;
  const auto open = [&] {
    return std::make_unique<Trainer>(Device::open("cpu", {1, false}), network.graph(), head_options(network), options,
                                     small_dataset(5));
  };
  const auto given = open();
  TrainingSteps request = steps(0, 1, 0);
  request.samples = {std::vector<float>(SmallNetwork::kElements, 0.5F),
                     {3},
                     std::vector<float>(SmallNetwork::kElements, 0.25F),
                     {1},
                     std::vector<float>(SmallNetwork::kElements, 1.0F)};
  given->run(request, kGoesOn);
  EXPECT_EQ(given->run(steps(1, 2, 0), kGoesOn).losses, open()->run(steps(1, 2, 0), kGoesOn).losses);
}

TEST(Trainer, RefusesAHeadThatCannotLearn) {
  const SmallNetwork network(test::SecondOutput::kHead);
  const auto refused = [&](const SmallNetwork& of, const auto& change) {
    TrainerOptions options = options_of(2);
    options.loss = Loss::kNoise;
    change(options);
    return failure(
        [&] { Trainer(Device::open("reference", {}), of.graph(), head_options(of), options, small_dataset(11)); });
  };
  EXPECT_EQ(refused(network, [](TrainerOptions&) {}), "none");
  const std::string beside =
      "ERR_DPM_ARGUMENT targets: what else learns beside a prediction has the noise as its target";
  EXPECT_EQ(refused(network, [](TrainerOptions& options) { options.levels[1].data_target = 0.5; }), beside);
  EXPECT_EQ(refused(network, [](TrainerOptions& options) { options.levels[1].noise_target = -1; }), beside);
  EXPECT_EQ(refused(network,
                    [](TrainerOptions& options) {
                      options.loss = Loss::kResidual;
                      options.levels[1].data_target = 0.5;
                      options.levels[0].noise_target = -1;
                    }),
            "none");
  EXPECT_EQ(refused(network, [](TrainerOptions& options) { options.levels[1].weight = 2; }),
            "ERR_DPM_ARGUMENT weights: samples of this loss weigh all alike");
  EXPECT_EQ(refused(SmallNetwork(), [](TrainerOptions&) {}),
            "ERR_DPM_UNSUPPORTED the network has no second output to learn");
  EXPECT_EQ(refused(network, [](TrainerOptions& options) { options.loss = Loss::kPrediction; }),
            "ERR_DPM_UNSUPPORTED a square loss is of one output, this network has two");
}

TEST(Trainer, DoesNotDependOnTheNumberOfThreads) {
  const SmallNetwork network;
  for (const auto& device : training_devices()) {
    if (device->name() != "cpu") continue;
    std::vector<float> expected;
    for (const int threads : {1, 2, 3, 7}) {
      const auto trainer = trainer_of(Device::open("cpu", {threads, false}), network, options_of(6));
      trainer->run(steps(0, 3), kGoesOn);
      if (expected.empty()) expected = read(*trainer);
      EXPECT_EQ(read(*trainer), expected) << threads;
    }
  }
}

TEST(Trainer, LimitsTheNormOfGradients) {
  const SmallNetwork network;
  for (const auto& device : training_devices()) {
    TrainerOptions options = options_of(3);
    options.adam.beta1 = 0;
    options.clip = 0.5;
    const auto trainer = trainer_of(device, network, options);
    const StepResult result = trainer->run(steps(0, 1), kGoesOn);
    ASSERT_GT(result.norms[0], 0.5) << "the gradients are not limited";
    // With beta1 = 0 the first moments are the limited gradients.
    double squares = 0;
    for (const float moment : read(*trainer, ParameterTensor::kFirstMoments)) {
      squares += std::pow(static_cast<double>(moment), 2);
    }
    EXPECT_NEAR(std::sqrt(squares), 0.5, 1e-5);
  }
}

TEST(Trainer, EndsWithTheNameOfAStepThatIsNotFinite) {
  const SmallNetwork network;
  for (const auto& device : training_devices()) {
    const auto trainer = trainer_of(device, network, options_of(1));
    trainer->run(steps(0, 2), kGoesOn);
    std::vector<std::vector<float>> before;
    for (const ParameterTensor which : kTensors) before.push_back(read(*trainer, which));
    TrainingSteps request = steps(2, 1);
    request.samples = {std::vector<float>(SmallNetwork::kElements, 0.5F),
                       {3},
                       std::vector<float>(SmallNetwork::kElements, std::numeric_limits<float>::infinity()),
                       {1}};
    const StepResult ended = trainer->run(request, kGoesOn);
    EXPECT_EQ(ended.failure, "the loss is not finite");
    EXPECT_TRUE(ended.losses.empty() && ended.norms.empty());
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(read(*trainer, kTensors[i]), before[i]);
    const auto other = trainer_of(device, network, options_of(1));
    const StepResult expected = other->run(steps(0, 4), kGoesOn);
    const StepResult result = trainer->run(steps(2, 2), kGoesOn);
    EXPECT_EQ(result.losses, std::vector<double>(expected.losses.begin() + 2, expected.losses.end()));
    EXPECT_EQ(read(*trainer), read(*other));
  }
}

TEST(Trainer, StopsBetweenSteps) {
  const SmallNetwork network;
  const auto trainer = trainer_of(Device::open("reference", {}), network, options_of(1));
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TrainingSteps request = steps(0, 5);
  request.cancelled = cancelled;
  std::vector<std::uint64_t> done;
  request.progress = [&](std::uint64_t steps_done, std::uint64_t total) {
    EXPECT_EQ(total, 5U);
    done.push_back(steps_done);
    if (steps_done == 2) cancelled->store(true);
  };
  EXPECT_EQ(trainer->run(request, kGoesOn).losses.size(), 2U);
  EXPECT_EQ(done, (std::vector<std::uint64_t>{1, 2}));
  const std::atomic<bool> stopping{true};
  EXPECT_EQ(failure([&] { trainer->run(steps(2, 1), stopping); }), "ERR_DPM_CLOSED the engine was closed");
}

/// A convolution of 1x1 without bias or activation, W x.
class LinearNetwork {
 public:
  static constexpr int kChannels = 2;
  static constexpr int kSide = 4;
  static constexpr std::size_t kElements = std::size_t{kChannels} * kSide * kSide;

  LinearNetwork() {
    const int image = maker_.image(kChannels, kSide, kSide);
    // A product does not read the caller's tensor on every device, so a copy comes first.
    maker_.output(maker_.convolution(maker_.affine(image, 1), kChannels, test::same_size(1), 0.1F));
  }
  [[nodiscard]] const graph::Graph& graph() const { return maker_.graph(); }

 private:
  RandomValues random_{6};
  GraphMaker maker_{random_};
};

/// Images whose two channels are correlated, the same in distribution at every pixel.
std::vector<float> correlated_images(std::size_t count) {
  std::vector<float> images = RandomValues(20).normals(count * LinearNetwork::kElements);
  constexpr std::size_t kPixels = LinearNetwork::kElements / LinearNetwork::kChannels;
  for (std::size_t n = 0; n < count; ++n) {
    float* image = images.data() + n * LinearNetwork::kElements;
    for (std::size_t p = 0; p < kPixels; ++p) image[kPixels + p] = 0.6F * image[p] + 0.5F * image[kPixels + p];
  }
  return images;
}

using Matrix = std::array<double, 4>;

/// Returns the mean of x x^T over the pixels of images.
Matrix covariance(const std::vector<float>& images) {
  constexpr std::size_t kPixels = LinearNetwork::kElements / LinearNetwork::kChannels;
  Matrix sum{};
  for (std::size_t first = 0; first < images.size(); first += LinearNetwork::kElements) {
    for (std::size_t p = 0; p < kPixels; ++p) {
      const double a = static_cast<double>(images[first + p]);
      const double b = static_cast<double>(images[first + kPixels + p]);
      sum[0] += a * a;
      sum[1] += a * b;
      sum[3] += b * b;
    }
  }
  sum[2] = sum[1];
  for (double& element : sum) element *= LinearNetwork::kChannels / static_cast<double>(images.size());
  return sum;
}

TrainerOptions one_level(double signal, Prediction prediction, std::uint32_t batch) {
  TrainerOptions options;
  options.levels = {level_of(signal, prediction, 0)};
  options.batch = batch;
  options.seed = 3;
  return options;
}

/// The matrix with the least mean square error: E[target x^T] E[x x^T]^-1.
Matrix wiener_filter(const Matrix& data, const TrainerOptions& options) {
  const Level& level = options.levels[0];
  const double a = level.image * level.image;
  const double b = level.noise * level.noise;
  const Matrix noised{a * data[0] + b, a * data[1], a * data[2], a * data[3] + b};
  const double determinant = noised[0] * noised[3] - noised[1] * noised[2];
  const Matrix inverse{noised[3] / determinant, -noised[1] / determinant, -noised[2] / determinant,
                       noised[0] / determinant};
  Matrix both;
  for (std::size_t i = 0; i < 4; ++i) {
    both[i] = level.data_target * std::sqrt(a) * data[i] + (i % 3 == 0 ? level.noise_target * std::sqrt(b) : 0);
  }
  return {both[0] * inverse[0] + both[1] * inverse[2], both[0] * inverse[1] + both[1] * inverse[3],
          both[2] * inverse[0] + both[3] * inverse[2], both[2] * inverse[1] + both[3] * inverse[3]};
}

TEST(Trainer, TeachesALinearNetworkTheWienerFilter) {
  const LinearNetwork network;
  const std::vector<float> images = correlated_images(64);
  for (const Prediction prediction : {Prediction::kEpsilon, Prediction::kData, Prediction::kVelocity}) {
    for (const auto& device : training_devices()) {
      const TrainerOptions options = one_level(0.6, prediction, 64);
      Dataset dataset;
      dataset.values = images;
      Trainer trainer(device, network.graph(), {}, options, dataset);
      TrainingSteps request = steps(0, 0);
      constexpr int kSteps = 700;
      for (int k = 0; k < kSteps; ++k) {
        request.rates.push_back(k < kSteps / 2 ? 1e-2 : 1e-3);
        request.average_decays.push_back(k < kSteps / 2 ? 0 : 0.99);
      }
      trainer.run(request, kGoesOn);
      const Matrix expected = wiener_filter(covariance(images), options);
      const std::vector<float> found = read(trainer, ParameterTensor::kAverage);
      double error = 0;
      double size = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
        size += std::pow(expected[i], 2);
      }
      EXPECT_LT(std::sqrt(error), 0.01 * std::sqrt(size)) << device->name() << static_cast<int>(prediction);
    }
  }
}

TEST(Trainer, DrawsNoiseByStepAndSlot) {
  const LinearNetwork network;
  constexpr std::uint32_t kBatch = 3;
  constexpr std::uint32_t kStep = 5;
  TrainerOptions options = options_of(kBatch, 2);
  for (std::size_t i = 0; i < options.levels.size(); ++i) {
    const Level& level = options.levels[i];
    options.levels[i] = level_of(level.image * level.image, Prediction::kVelocity, level.time);
    options.levels[i].weight = 0.5 + 0.1 * static_cast<double>(i);
  }
  Dataset dataset;
  dataset.levels = {0, 255, 51, 102};
  while (dataset.levels.size() < 3 * LinearNetwork::kElements) {
    dataset.levels.push_back(static_cast<std::uint8_t>(dataset.levels.size() * 7 % 256));
  }
  const auto* weights = static_cast<const float*>(network.graph().constants[0].data);
  const Seed seed = Seed::of(options.seed);
  double expected = 0;
  for (std::uint32_t slot = 0; slot < 2 * kBatch; ++slot) {
    const std::uint64_t position = kStep * options.samples() + slot;
    const std::uint64_t image = image_at(seed, 3, static_cast<std::uint32_t>(position / 3), position % 3);
    const std::uint32_t word = draw_sample(seed, kStep, slot).word;
    const std::uint32_t level = LevelSampler(LevelSampling::kUniform, 10).draw(word).level;
    const double a = options.levels[level - 1].image;
    const double b = options.levels[level - 1].noise;
    constexpr std::uint32_t kPixels = LinearNetwork::kElements / 2;
    double sum = 0;
    for (std::uint32_t p = 0; p < kPixels; ++p) {
      double noised[2];
      double target[2];
      for (std::uint32_t c = 0; c < 2; ++c) {
        const std::uint32_t element = c * kPixels + p;
        const double x0 = 2.0 * dataset.levels[image * LinearNetwork::kElements + element] / 255 - 1;
        const double noise = noise_at(seed, kStep, slot, element);
        noised[c] = a * x0 + b * noise;
        target[c] = a * noise - b * x0;
      }
      for (std::uint32_t c = 0; c < 2; ++c) {
        const double out =
            static_cast<double>(weights[2 * c]) * noised[0] + static_cast<double>(weights[2 * c + 1]) * noised[1];
        sum += std::pow(out - target[c], 2);
      }
    }
    expected += options.levels[level - 1].weight * sum / LinearNetwork::kElements / (2 * kBatch);
  }
  for (const auto& device : training_devices()) {
    Trainer trainer(device, network.graph(), {}, options, dataset);
    EXPECT_NEAR(trainer.run(steps(kStep, 1), kGoesOn).losses[0], expected, 1e-5 * expected) << device->name();
  }
}

TEST(Trainer, RefusesOptionsByName) {
  const SmallNetwork network;
  const auto device = Device::open("reference", {});
  const auto refused = [&](const auto& change) {
    TrainerOptions options = options_of(2);
    Dataset dataset = small_dataset(3);
    change(options, dataset);
    return failure([&] { Trainer(device, network.graph(), SmallNetwork::options(), options, dataset); });
  };
  const auto expect_named = [](const std::string& message, const std::string& name) {
    EXPECT_EQ(message.rfind("ERR_DPM_ARGUMENT ", 0), 0U) << message;
    EXPECT_NE(message.find(name), std::string::npos) << message;
  };
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.batch = 0; }), "batch");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.accumulate = 0; }), "accumulate");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.clip = -1; }), "clip");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.adam.beta1 = 1; }), "beta1");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.adam.beta2 = -0.1; }), "beta2");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.adam.epsilon = 0; }), "epsilon");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.adam.decay = -1; }), "decay");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels[0].image = -1; }), "images");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels[0].noise = -1; }), "noises");
  const auto free_of_noise = [](TrainerOptions& options, Dataset&) {
    options.loss = Loss::kNoise;
    options.levels[0].noise = 0;
  };
  expect_named(refused(free_of_noise), "noises");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels[0].weight = -1; }), "weights");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels[0].data_target = kInfinity; }),
               "targets");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels[0].noise_target = kInfinity; }),
               "targets");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.levels = {}; }), "times");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.label_dropout = 2; }), "labelDropout");
  const auto classifies = [](TrainerOptions& options, Dataset&) {
    options.loss = Loss::kCrossEntropy;
    options.label_dropout = 0.1;
  };
  expect_named(refused(classifies), "labelDropout: a classifier");
  expect_named(refused([](TrainerOptions& options, Dataset&) { options.null_label = 3; }), "nullLabel");
  expect_named(refused([](TrainerOptions&, Dataset& dataset) { dataset.labels.clear(); }), "labels");
  expect_named(refused([](TrainerOptions&, Dataset& dataset) { dataset.labels[0] = 3; }), "labels");
  expect_named(refused([](TrainerOptions&, Dataset& dataset) { dataset.labels.pop_back(); }), "labels");
  expect_named(refused([](TrainerOptions&, Dataset& dataset) { dataset.values.pop_back(); }), "images");
  expect_named(refused([](TrainerOptions&, Dataset& dataset) { dataset.margin = 0x10000; }), "cropMargin");

  const auto trainer = trainer_of(device, network, options_of(1));
  const auto refused_run = [&](const auto& change) {
    TrainingSteps request = steps(0, 1);
    change(request);
    return failure([&] { trainer->run(request, kGoesOn); });
  };
  const GivenSamples one{
      std::vector<float>(SmallNetwork::kElements), {1}, std::vector<float>(SmallNetwork::kElements), {0}};
  expect_named(refused_run([](TrainingSteps& request) { request.rates[0] = -1; }), "rates");
  expect_named(refused_run([](TrainingSteps& request) { request.average_decays[0] = 1.5; }), "averageDecays");
  expect_named(refused_run([](TrainingSteps& request) { request.average_decays.clear(); }), "averageDecays");
  expect_named(refused_run([](TrainingSteps& request) { request.first_step = 0xFFFFFFFF; }), "firstStep");
  const auto refused_samples = [&](const auto& change) {
    return refused_run([&](TrainingSteps& request) {
      request.samples = one;
      change(*request.samples);
    });
  };
  EXPECT_EQ(refused_samples([](GivenSamples&) {}), "none");
  expect_named(refused_samples([](GivenSamples& samples) { samples.images.pop_back(); }), "samples.images");
  expect_named(refused_samples([](GivenSamples& samples) { samples.noise.pop_back(); }), "samples.noise");
  expect_named(refused_samples([](GivenSamples& samples) { samples.levels[0] = 11; }), "samples.levels");
  expect_named(refused_samples([](GivenSamples& samples) { samples.levels[0] = 0; }), "samples.levels");
  expect_named(refused_samples([](GivenSamples& samples) { samples.levels.clear(); }), "samples.levels");
  expect_named(refused_samples([](GivenSamples& samples) { samples.labels[0] = 3; }), "labels");

  Trainer without(device, network.graph(), SmallNetwork::options(), options_of(1), {});
  expect_named(failure([&] { without.run(steps(0, 1), kGoesOn); }), "images");
}

}  // namespace
}  // namespace dpm::training
