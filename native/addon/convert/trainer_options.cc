#include "addon/convert/trainer_options.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>
#include <vector>

#include "addon/convert/objects.h"
#include "addon/convert/typed_arrays.h"

namespace dpm::addon {
namespace {

template <typename T>
std::vector<T> copy_of(const Elements<T>& elements) {
  return {elements.data, elements.data + elements.size};
}

std::vector<double> to_doubles(const Napi::Value& value, const char* what) {
  return copy_of(double_elements(value, what));
}

std::vector<std::int32_t> to_integers(const Napi::Value& value, const char* what) {
  if (is_absent(value)) return {};
  return copy_of(int32_elements(value, what));
}

training::GivenSamples to_samples(const Napi::Object& object) {
  // Reading a property can run JavaScript, which could detach a buffer: all are read before any buffer is used.
  const Napi::Value images = object.Get("images");
  const Napi::Value noise = object.Get("noise");
  const Napi::Value levels = object.Get("levels");
  const Napi::Value labels = object.Get("labels");
  const Napi::Value probes = object.Get("probes");
  const Napi::Value tokens = object.Get("tokens");
  return {to_floats(images, "images"),
          copy_of(uint32_elements(levels, "levels")),
          to_floats(noise, "noise"),
          to_integers(labels, "labels"),
          is_absent(probes) ? std::vector<float>() : to_floats(probes, "probes"),
          to_integers(tokens, "tokens")};
}

/// Reads tables of doubles. Reading a property can run JavaScript, which could detach a buffer: all are read before any
/// buffer is used.
std::vector<std::vector<double>> to_tables(const Napi::Object& object, std::initializer_list<const char*> names) {
  std::vector<Napi::Value> values;
  values.reserve(names.size());
  for (const char* name : names) values.push_back(object.Get(name));
  std::vector<std::vector<double>> tables;
  tables.reserve(names.size());
  std::ranges::transform(values, names, std::back_inserter(tables), to_doubles);
  return tables;
}

void require_lengths(const std::vector<std::vector<double>>& tables, std::size_t levels, const char* message) {
  require(std::ranges::all_of(tables, [&](const auto& table) { return table.size() == levels; }), message);
}

std::vector<training::Level> to_levels(const Napi::Object& object) {
  const Napi::Value times = object.Get("times");
  const auto tables = to_tables(object, {"images", "noises", "dataTargets", "noiseTargets", "weights"});
  const std::vector<float> of_network = to_floats(times, "times");
  require_lengths(tables, of_network.size(), "levels: the tables have an entry for each level");
  std::vector<training::Level> levels;
  levels.reserve(of_network.size());
  for (std::size_t i = 0; i < of_network.size(); ++i) {
    levels.push_back({tables[0][i], tables[1][i], tables[2][i], tables[3][i], tables[4][i], of_network[i]});
  }
  if (!has_value(object, "stepsBack")) return levels;
  const auto steps = to_tables(to_object(object, "stepsBack"), {"lows", "highs", "variances", "means"});
  require_lengths(steps, levels.size(), "stepsBack: the tables have an entry for each level");
  for (std::size_t i = 0; i < levels.size(); ++i) {
    levels[i].step_back = {steps[0][i], steps[1][i], steps[2][i], steps[3][i]};
  }
  return levels;
}

}  // namespace

training::TrainerOptions to_trainer_options(const Napi::Object& object) {
  const Napi::Value seed = object.Get("seed");
  training::TrainerOptions options;
  constexpr training::Loss kLosses[] = {training::Loss::kPrediction, training::Loss::kHybrid,
                                        training::Loss::kResidual,   training::Loss::kNoise,
                                        training::Loss::kCurvature,  training::Loss::kCrossEntropy};
  constexpr training::LevelSampling kSamplings[] = {training::LevelSampling::kUniform,
                                                    training::LevelSampling::kLossSecondMoment};
  options.level_sampling = kSamplings[to_choice(object, "levelSampling", {"uniform", "loss-second-moment"})];
  options.loss = kLosses[to_choice(object, "loss", {"prediction", "hybrid", "npr", "sn", "ocm", "cross-entropy"})];
  options.batch = to_uint32(object.Get("batch"), "batch");
  options.accumulate = to_uint32(object.Get("accumulate"), "accumulate");
  options.clip = to_double(object, "clip");
  options.adam = {to_double(object, "beta1"), to_double(object, "beta2"), to_double(object, "epsilon"),
                  to_double(object, "decay")};
  options.label_dropout = to_double(object, "labelDropout");
  options.null_label = to_int(object, "nullLabel");
  if (has_value(object, "textDropout")) options.text_dropout = to_double(object, "textDropout");
  options.null_tokens = to_integers(object.Get("nullTokens"), "nullTokens");
  const auto words = uint32_elements(seed, "seed");
  if (words.size != 2) wrong("seed", "two numbers");
  options.seed = std::uint64_t{words.data[1]} << 32 | words.data[0];
  const Napi::Object levels = to_object(object, "levels");
  require(options.loss != training::Loss::kHybrid || has_value(levels, "stepsBack"),
          "levels.stepsBack is for networks that learn their variance, which this one does");
  options.levels = to_levels(levels);
  return options;
}

training::Dataset to_dataset(const Napi::Object& object) {
  const Napi::Value images = object.Get("images");
  const Napi::Value labels = object.Get("labels");
  const Napi::Value tokens = object.Get("tokens");
  const Napi::Value first_texts = object.Get("firstTexts");
  training::Dataset dataset;
  dataset.flips = to_bool(object, "flips");
  dataset.margin = to_uint32(object.Get("cropMargin"), "cropMargin");
  dataset.labels = to_integers(labels, "labels");
  dataset.tokens = to_integers(tokens, "tokens");
  if (!is_absent(first_texts)) dataset.first_texts = copy_of(uint32_elements(first_texts, "firstTexts"));
  if (is_absent(images)) return dataset;
  const bool are_levels = images.IsTypedArray() && images.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (are_levels) {
    dataset.levels = copy_of(byte_elements(images, "images"));
  } else {
    dataset.values = to_floats(images, "images");
  }
  return dataset;
}

training::TrainingSteps to_training_steps(const Napi::Object& object) {
  const Napi::Value rates = object.Get("rates");
  const Napi::Value decays = object.Get("averageDecays");
  training::TrainingSteps request;
  request.first_step = to_size(object, "firstStep");
  if (has_value(object, "samples")) request.samples = to_samples(to_object(object, "samples"));
  request.rates = to_doubles(rates, "rates");
  request.average_decays = to_doubles(decays, "averageDecays");
  return request;
}

ParameterTensor to_parameter_tensor(const Napi::Value& value) {
  if (!value.IsString()) wrong("which", "a string");
  const std::string name = value.As<Napi::String>().Utf8Value();
  if (name == "parameters") return ParameterTensor::kParameters;
  if (name == "firstMoments") return ParameterTensor::kFirstMoments;
  if (name == "secondMoments") return ParameterTensor::kSecondMoments;
  if (name == "average") return ParameterTensor::kAverage;
  wrong("which", "parameters, firstMoments, secondMoments or average");
}

}  // namespace dpm::addon
