// Test of training runs whose network sees texts: which text a sample has, and that the network sees it.
#include "training/texts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/philox.h"
#include "small_reader.h"
#include "training/draws.h"
#include "training/trainer.h"

namespace dpm::training {
namespace {

using test::RandomValues;
using test::SmallReader;

using Tokens = std::vector<std::int32_t>;

const std::atomic<bool> kGoesOn{false};

/// Texts of three tokens of a vocabulary of five.
const Tokens kFirst{4, 0, 2};
const Tokens kSecond{0, 4, 2};
const Tokens kNone{3, 3, 1};

Tokens joined(const std::vector<Tokens>& texts) {
  Tokens all;
  for (const Tokens& text : texts) all.insert(all.end(), text.begin(), text.end());
  return all;
}

TEST(TextDraws, AreWordsOfTheirOwnCounter) {
  const Seed seed = Seed::of(1099511627779);
  const PhiloxWords words = philox4x32(0, 12345, 127, 4, 3, 256);
  const TextDraw draw = draw_text(seed, 12345, 127);
  EXPECT_EQ(draw.word, words.word[0]);
  EXPECT_EQ(draw.uniform, static_cast<double>(words.word[1]) / 4294967296.0);
  EXPECT_EQ((TextDraw{0xFFFFFFFF, 0}.text(7)), 6U);
  EXPECT_EQ((TextDraw{0x80000000, 0}.text(0xFFFFFFFF)), 0x7FFFFFFFU);
  EXPECT_EQ((TextDraw{0x7FFFFFFF, 0}.text(2)), 0U);
  EXPECT_EQ((TextDraw{0x80000000, 0}.text(2)), 1U);
}

const LevelSampler kEven(LevelSampling::kUniform, 10);

TrainerOptions drawn_options(std::uint32_t batch) {
  TrainerOptions options;
  options.batch = batch;
  options.seed = 1099511627779;
  options.levels.resize(10);
  return options;
}

/// Three images, which have one, three and two texts. The first token of a text is the number of the text.
Dataset images_with_texts() {
  Dataset dataset;
  dataset.channels = dataset.height = dataset.width = 1;
  dataset.values = {0, 1, 2};
  dataset.tokens = {0, 7, 1, 7, 2, 7, 3, 7, 4, 7, 5, 7};
  dataset.first_texts = {0, 1, 4, 6};
  return dataset;
}

TEST(GivenSamples, HaveNothingOfThoseBeforeThem) {
  const TrainerOptions options = drawn_options(1);
  const SampleShape shape{2, 0, {}};
  GivenSamples given{{1, 2}, {3}, {4, 5}, {}, {1, -1}};
  Samples samples;
  copy_samples(options, given, shape, 0, samples);
  EXPECT_EQ(samples.probes, given.probes);
  given.probes.clear();
  copy_samples(options, given, shape, 0, samples);
  EXPECT_TRUE(samples.probes.empty());
}

TEST(Texts, AreThoseOfTheirImageThatTheirWordSays) {
  const TrainerOptions options = drawn_options(2);
  const Dataset dataset = images_with_texts();
  std::map<int, int> texts;
  Samples samples;
  constexpr std::uint32_t kSteps = 3000;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    draw_samples(options, dataset, kEven, step, 5, samples);
    ASSERT_EQ(samples.tokens.size(), 4U);
    for (std::uint32_t row = 0; row < 2; ++row) {
      const auto image = static_cast<std::size_t>(samples.images[row]);
      const std::uint64_t first = dataset.first_texts[image];
      const std::uint64_t word = philox4x32(0, step, 5 + row, 4, 3, 256).word[0];
      const std::uint64_t text = first + (word * (dataset.first_texts[image + 1] - first) >> 32);
      ASSERT_EQ(samples.tokens[2 * row], static_cast<std::int32_t>(text));
      ASSERT_EQ(samples.tokens[2 * row + 1], 7);
      ++texts[samples.tokens[2 * row]];
    }
  }
  // Four standard errors.
  const double shares[] = {1 / 3.0, 1 / 9.0, 1 / 9.0, 1 / 9.0, 1 / 6.0, 1 / 6.0};
  for (int text = 0; text < 6; ++text) EXPECT_NEAR(texts[text], 2 * kSteps * shares[text], 4 * 37) << text;
}

TEST(Texts, AreDroppedWithTheirProbability) {
  TrainerOptions options = drawn_options(1);
  options.text_dropout = 0.25;
  options.null_tokens = {9, 8};
  Dataset dataset = images_with_texts();
  dataset.labels = {0, 1, 2};
  Samples samples;
  int dropped = 0;
  constexpr std::uint32_t kSteps = 4000;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    draw_samples(options, dataset, kEven, step, 3, samples);
    const double uniform = static_cast<double>(philox4x32(0, step, 3, 4, 3, 256).word[1]) * 0x1p-32;
    ASSERT_EQ(samples.tokens == Tokens({9, 8}), uniform < 0.25);
    ASSERT_EQ(samples.labels[0], static_cast<std::int32_t>(samples.images[0])) << "labels are kept";
    if (uniform < 0.25) ++dropped;
  }
  // Four standard errors.
  EXPECT_NEAR(dropped, kSteps * 0.25, 4 * 28);
  options.text_dropout = 1;
  draw_samples(options, dataset, kEven, 0, 0, samples);
  EXPECT_EQ(samples.tokens, Tokens({9, 8}));
}

TEST(Texts, ChangeNoOtherDraw) {
  TrainerOptions options = drawn_options(6);
  options.text_dropout = 0.5;
  options.null_tokens = {9, 8};
  Dataset with = images_with_texts();
  with.flips = true;
  Dataset without = with;
  without.tokens.clear();
  without.first_texts.clear();
  Samples seen;
  Samples unseen;
  draw_samples(options, with, kEven, 7, 0, seen);
  draw_samples(options, without, kEven, 7, 0, unseen);
  EXPECT_EQ(seen.images, unseen.images);
  EXPECT_EQ(seen.levels, unseen.levels);
  EXPECT_TRUE(unseen.tokens.empty());
}

TEST(TextMaps, HaveOnesWhereTheTokensAreAndNoneOfEarlierTexts) {
  const auto device = Device::open("reference", {});
  TextMaps maps(*device, 2, {3, 2});
  std::vector<float> found(12);
  const auto read = [&] {
    // A copy on the device, because a view names no buffer that could be read.
    const auto copy = device->allocate(found.size() * sizeof(float));
    dpm_record record{};
    record.flags = DPM_RECORD_WRITE_X;
    record.x_y = 1;
    dpm_update_sample rows[2]{};
    for (std::uint32_t row = 0; row < 2; ++row) {
      rows[row].record = &record;
      rows[row].row = rows[row].network_row = rows[row].noise_row = row;
    }
    dpm_update update{};
    update.batch = 2;
    update.elements = 6;
    update.samples = rows;
    update.x = copy->view(6);
    update.y = maps.view();
    update.out = maps.view();
    device->update(update);
    copy->download(0, found.data(), found.size() * sizeof(float));
    return found;
  };
  maps.upload({2, 0, 1, 1});
  EXPECT_EQ(read(), (std::vector<float>{0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0}));
  maps.upload({1, 0, 0, 2});
  EXPECT_EQ(read(), (std::vector<float>{0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
}

TrainerOptions options_of(Loss loss, std::uint32_t batch, std::uint32_t accumulate = 1) {
  TrainerOptions options;
  options.loss = loss;
  options.batch = batch;
  options.accumulate = accumulate;
  options.seed = 1099511627779;
  for (int n = 1; n <= 4; ++n) {
    const double signal = 1 - 0.2 * n;
    options.levels.push_back({std::sqrt(signal), std::sqrt(1 - signal), 0, 1, 1, static_cast<float>(n)});
    options.levels.back().step_back = {-3.0 - n, -2.0, 0.1, 0.3};
  }
  return options;
}

/// Images that all have these texts.
Dataset dataset_of(const SmallReader& network, std::size_t count, const std::vector<Tokens>& texts) {
  Dataset dataset;
  dataset.values = RandomValues(3).normals(count * SmallReader::kElements, 0.5F);
  for (std::size_t i = 0; network.classifies() && i < count; ++i) dataset.labels.push_back(static_cast<int>(i % 3));
  if (texts.empty()) return dataset;
  for (std::size_t i = 0; i <= count; ++i) {
    dataset.first_texts.push_back(static_cast<std::uint32_t>(i * texts.size()));
    if (i == count) break;
    const Tokens own = joined(texts);
    dataset.tokens.insert(dataset.tokens.end(), own.begin(), own.end());
  }
  return dataset;
}

TrainingSteps steps(std::size_t count, double rate) {
  TrainingSteps request;
  request.rates.assign(count, rate);
  request.average_decays.assign(count, 0.9);
  return request;
}

/// Samples of these texts, which have random images and noise of their own.
GivenSamples given_samples(const std::vector<Tokens>& texts) {
  GivenSamples samples;
  samples.images = RandomValues(4).normals(texts.size() * SmallReader::kElements, 0.5F);
  samples.noise = RandomValues(5).normals(texts.size() * SmallReader::kElements);
  samples.levels.assign(texts.size(), 2);
  samples.tokens = joined(texts);
  return samples;
}

/// Given samples from `first` on.
GivenSamples part_of(const GivenSamples& all, std::size_t first, std::size_t count) {
  const auto part = [&](const auto& values, std::size_t each) {
    const auto start = values.begin() + static_cast<std::ptrdiff_t>(first * each);
    return std::decay_t<decltype(values)>(start, start + static_cast<std::ptrdiff_t>(count * each));
  };
  return {part(all.images, SmallReader::kElements),
          part(all.levels, 1),
          part(all.noise, SmallReader::kElements),
          {},
          {},
          part(all.tokens, 3)};
}

void expect_near(const StepResult& found, const StepResult& expected, const std::string& what) {
  ASSERT_EQ(found.losses.size(), expected.losses.size()) << what;
  for (std::size_t i = 0; i < expected.losses.size(); ++i) {
    EXPECT_NEAR(found.losses[i], expected.losses[i], 2e-5 * expected.losses[i]) << what << ", step " << i;
    EXPECT_NEAR(found.norms[i], expected.norms[i], 2e-4 * expected.norms[i]) << what << ", step " << i;
  }
}

constexpr Loss kLosses[] = {Loss::kPrediction, Loss::kHybrid,    Loss::kResidual,
                            Loss::kNoise,      Loss::kCurvature, Loss::kCrossEntropy};

SmallReader::Output output_of(Loss loss) {
  if (loss == Loss::kHybrid) return SmallReader::Output::kLearned;
  if (loss == Loss::kCrossEntropy) return SmallReader::Output::kLogits;
  return loss == Loss::kPrediction ? SmallReader::Output::kPrediction : SmallReader::Output::kHead;
}

/// Runs three steps of a network that sees texts, or, without a data set of any, of one of a text that never changes.
StepResult run_of(const std::shared_ptr<Device>& device, const SmallReader& network, const TrainerOptions& options,
                  const std::vector<Tokens>& texts) {
  Trainer trainer(device, network.graph(), network.options(), options, dataset_of(network, 5, texts));
  return trainer.run(steps(3, 1e-2), kGoesOn);
}

TEST(TrainerOfTexts, LearnsAsANetworkWhoseTextIsAConstant) {
  for (const char* name : {"reference", "cpu", "cuda:0"}) {
    const auto device = Device::open(name, {2, true});
    for (const Loss loss : kLosses) {
      const std::string what = std::string(name) + ", loss " + std::to_string(static_cast<int>(loss));
      const SmallReader network(output_of(loss));
      TrainerOptions options = options_of(loss, 2, 2);
      const StepResult expected = run_of(device, SmallReader(output_of(loss), &kFirst), options, {});
      const StepResult found = run_of(device, network, options, {kFirst});
      expect_near(found, expected, what);
      EXPECT_NE(run_of(device, network, options, {kSecond}).losses, found.losses) << what;
      options.text_dropout = 1;
      options.null_tokens = kNone;
      const StepResult none = run_of(device, SmallReader(output_of(loss), &kNone), options_of(loss, 2, 2), {});
      expect_near(run_of(device, network, options, {kFirst}), none, what);
      EXPECT_NE(none.losses, expected.losses) << what;
    }
  }
}

TEST(TrainerOfTexts, GivesEachRowAndEachPartOfAStepItsOwnText) {
  const SmallReader network;
  const auto device = Device::open("cpu", {2, false});
  const GivenSamples all = given_samples({kFirst, kSecond, kNone, kFirst});
  const auto run = [&](const GivenSamples& samples, std::uint32_t batch, std::uint32_t accumulate) {
    Trainer trainer(device, network.graph(), {}, options_of(Loss::kPrediction, batch, accumulate), {});
    TrainingSteps request = steps(samples.levels.size() / (std::size_t{batch} * accumulate), 0);
    request.samples = samples;
    return trainer.run(request, kGoesOn).losses;
  };
  std::vector<double> alone(4);
  for (std::size_t i = 0; i < 4; ++i) alone[i] = run(part_of(all, i, 1), 1, 1).front();
  EXPECT_EQ(run(all, 1, 1), alone) << "step after step";
  const double mean = (alone[0] + alone[1] + alone[2] + alone[3]) / 4;
  EXPECT_NEAR(run(all, 4, 1).front(), mean, 1e-5 * mean);
  EXPECT_NEAR(run(all, 1, 4).front(), mean, 1e-5 * mean);
  const std::vector<double> two = run(all, 1, 2);
  EXPECT_NEAR(two[0], (alone[0] + alone[1]) / 2, 1e-5 * mean);
  EXPECT_NEAR(two[1], (alone[2] + alone[3]) / 2, 1e-5 * mean);
  // What is compared differs by more than that by its texts.
  GivenSamples others = all;
  others.tokens = joined({kFirst, kFirst, kFirst, kFirst});
  EXPECT_GT(std::abs(run(others, 4, 1).front() - mean), 1e-3 * mean);
}

TEST(TrainerOfTexts, GoesOnFromAnyStep) {
  const SmallReader network;
  const auto device = Device::open("cpu", {1, false});
  TrainerOptions options = options_of(Loss::kPrediction, 3);
  options.text_dropout = 0.4;
  options.null_tokens = kNone;
  const Dataset dataset = dataset_of(network, 4, {kFirst, kSecond});
  Trainer drawn(device, network.graph(), {}, options, dataset);
  Trainer half(device, network.graph(), {}, options, dataset);
  const StepResult expected = drawn.run(steps(6, 1e-3), kGoesOn);
  half.run(steps(3, 1e-3), kGoesOn);
  TrainingSteps rest = steps(3, 1e-3);
  rest.first_step = 3;
  const StepResult found = half.run(rest, kGoesOn);
  EXPECT_EQ(found.losses, std::vector<double>(expected.losses.begin() + 3, expected.losses.end()));
}

std::string failure(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return std::string(error_code_name(error.code())) + " " + error.what();
  }
  return "none";
}

/// Returns why a trainer of this network, with two images, is refused.
std::string refusal(const SmallReader& network, const std::function<void(TrainerOptions&, Dataset&)>& change) {
  TrainerOptions options = options_of(Loss::kPrediction, 1);
  Dataset dataset = dataset_of(network, 2, {kFirst, kSecond});
  change(options, dataset);
  return failure([&] { Trainer(Device::open("reference", {}), network.graph(), {}, options, dataset); });
}

TEST(TrainerOfTexts, RefusesTextsByName) {
  const SmallReader network;
  const auto refused = [&](const auto& change) {
    return refusal(network, [&](TrainerOptions&, Dataset& dataset) { change(dataset); });
  };
  const std::string argument = "ERR_DPM_ARGUMENT ";
  EXPECT_EQ(refused([](Dataset&) {}), "none");
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.tokens[5] = 5; }), argument + "tokens: one is out of range");
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.tokens[0] = -1; }), argument + "tokens: one is out of range");
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.tokens.pop_back(); }),
            argument + "tokens: the last text is not whole");
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.tokens.clear(); }),
            argument + "tokens: the network sees texts, so it needs some");
  const std::string one_each = argument + "firstTexts: there has to be one for each image, and one behind them";
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts.clear(); }), one_each);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts = {0, 4}; }), one_each);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts = {0, 1, 2, 4}; }), one_each);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[0] = 1; }),
            argument + "firstTexts: the first one has to be 0");
  const std::string rise = argument + "firstTexts have to rise, because each image has a text";
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[1] = 0; }), rise);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[1] = 4; }), rise);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[1] = 5; }), rise);
  const std::string last = argument + "firstTexts: the last one is the number of texts";
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[2] = 5; }), last);
  EXPECT_EQ(refused([](Dataset& dataset) { dataset.first_texts[2] = 3; }), last);
  const SmallReader without(SmallReader::Output::kPrediction, &kFirst);
  EXPECT_EQ(refusal(without, [](TrainerOptions&, Dataset&) {}), argument + "tokens: the network sees no texts");
  EXPECT_EQ(refusal(without, [](TrainerOptions&, Dataset& dataset) { dataset.tokens.clear(); }),
            argument + "firstTexts: the network sees no texts");
}

TEST(TrainerOfTexts, RefusesDroppingByName) {
  const SmallReader network;
  const auto refused = [&](double dropout, const Tokens& tokens) {
    return refusal(network, [&](TrainerOptions& options, Dataset&) {
      options.text_dropout = dropout;
      options.null_tokens = tokens;
    });
  };
  const std::string argument = "ERR_DPM_ARGUMENT ";
  EXPECT_EQ(refused(0.5, kNone), "none");
  EXPECT_EQ(refused(0, kNone), "none");
  for (const double dropout : {-0.1, 1.1, std::nan("")}) {
    EXPECT_EQ(refused(dropout, kNone), argument + "textDropout has to be from 0 to 1");
  }
  EXPECT_EQ(refused(0.5, {}),
            argument + "nullTokens: texts are dropped by textDropout, so there has to be one that stands for none");
  const std::string length = argument + "nullTokens: they are not one text of the network's length";
  EXPECT_EQ(refused(0.5, {1, 2}), length);
  EXPECT_EQ(refused(0, {1, 2, 3, 4}), length);
  EXPECT_EQ(refused(0.5, {1, 2, 5}), argument + "nullTokens: one is out of range");
  EXPECT_EQ(refused(0.5, {-1, 2, 4}), argument + "nullTokens: one is out of range");
  const auto none = [](TrainerOptions& options, Dataset& dataset) {
    dataset.tokens.clear();
    dataset.first_texts.clear();
    options.null_tokens = kNone;
  };
  EXPECT_EQ(refusal(SmallReader(SmallReader::Output::kPrediction, &kFirst), none),
            argument + "nullTokens: the network sees no texts");
}

TEST(TrainerOfTexts, RefusesGivenTextsByName) {
  const auto refused = [&](const SmallReader& network, const auto& change) {
    Trainer trainer(Device::open("reference", {}), network.graph(), {}, options_of(Loss::kPrediction, 2), {});
    TrainingSteps request = steps(1, 0);
    request.samples = given_samples({kFirst, kSecond});
    change(*request.samples);
    return failure([&] { trainer.run(request, kGoesOn); });
  };
  const SmallReader network;
  const std::string tokens = "ERR_DPM_ARGUMENT samples.tokens: ";
  const std::string missing =
      tokens + "there has to be a text for each sample of each step, because the network sees texts";
  EXPECT_EQ(refused(network, [](GivenSamples&) {}), "none");
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens.clear(); }), missing);
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens.pop_back(); }), missing);
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens.resize(3); }), missing);
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens.resize(9); }), missing);
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens[3] = 5; }), tokens + "one is out of range");
  EXPECT_EQ(refused(network, [](GivenSamples& samples) { samples.tokens[3] = -1; }), tokens + "one is out of range");
  EXPECT_EQ(refused(SmallReader(SmallReader::Output::kPrediction, &kFirst), [](GivenSamples&) {}),
            tokens + "the network sees no texts");
}

TEST(TrainerOfTexts, RefusesContextsThatAreNoLinesOfTokens) {
  const std::string expected =
      "ERR_DPM_UNSUPPORTED a network learns from texts where each sample has a context of its own, "
      "[vocabulary, tokens, 1]";
  graph::Graph graph;
  graph.add_input(DPM_BINDING_CONTEXT, 5, 3, 1);
  EXPECT_EQ(text_shape_of(graph).vocabulary, 5U);
  EXPECT_EQ(text_shape_of(graph).tokens, 3U);
  graph.values[0].varies = DPM_VARIES_GROUP;
  EXPECT_EQ(failure([&] { text_shape_of(graph); }), expected);
  graph.values[0].varies = DPM_VARIES_ROW;
  graph.values[0].width = 2;
  EXPECT_EQ(failure([&] { text_shape_of(graph); }), expected);
  EXPECT_FALSE(text_shape_of(graph::Graph()).has_texts());
  // Constants lie in the network.
  const SmallReader network;
  graph::Graph shared = network.graph();
  for (graph::Value& value : shared.values) {
    const bool is_context =
        value.is_bound() && shared.bindings[static_cast<std::size_t>(value.binding)].name == DPM_BINDING_CONTEXT;
    if (is_context) value.varies = DPM_VARIES_GROUP;
  }
  EXPECT_EQ(failure([&] { Trainer(Device::open("cpu", {}), shared, {}, options_of(Loss::kPrediction, 1), {}); }),
            expected);
}

}  // namespace
}  // namespace dpm::training
