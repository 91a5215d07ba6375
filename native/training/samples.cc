#include "training/samples.h"

#include <algorithm>

#include "core/error.h"
#include "training/draws.h"

namespace dpm::training {
namespace {

void check_labels(const TrainerOptions& options, const std::vector<std::int32_t>& labels, int classes) {
  require(labels.empty() == (classes == 0),
          classes == 0 ? "labels: the network takes none" : "labels: the network has classes, so it needs some");
  // A classifier knows nothing like an image of no class.
  const std::int32_t least = options.classifies() ? 0 : -1;
  require(std::ranges::all_of(labels, [&](std::int32_t label) { return label >= least && label < classes; }),
          "labels: one is out of range");
}

/// Appends the text that is drawn for a slot, or the one that stands for none.
void draw_tokens(const TrainerOptions& options, const Dataset& dataset, std::uint64_t image, const TextDraw& draw,
                 std::vector<std::int32_t>& to) {
  if (draw.uniform < options.text_dropout) {
    to.insert(to.end(), options.null_tokens.begin(), options.null_tokens.end());
    return;
  }
  const std::uint32_t first = dataset.first_texts[image];
  const std::size_t text = std::size_t{first} + draw.text(dataset.first_texts[image + 1] - first);
  const std::size_t tokens = dataset.tokens.size() / dataset.first_texts.back();
  const auto start = dataset.tokens.begin() + static_cast<std::ptrdiff_t>(text * tokens);
  to.insert(to.end(), start, start + static_cast<std::ptrdiff_t>(tokens));
}

/// Returns the first row or column of a window: one of margin + 1, all as likely.
std::uint64_t window_at(std::uint16_t drawn, std::uint64_t margin) { return drawn * (margin + 1) >> 16; }

template <typename T>
void copy_range(const std::vector<T>& from, std::uint64_t first, std::uint64_t count, std::vector<T>& to) {
  const auto start = from.begin() + static_cast<std::ptrdiff_t>(first);
  to.assign(start, start + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

void draw_samples(const TrainerOptions& options, const Dataset& dataset, const LevelSampler& sampler,
                  std::uint32_t step, std::uint32_t first, Samples& samples) {
  const Seed seed = Seed::of(options.seed);
  const std::uint64_t count = dataset.count();
  samples.images.resize(options.batch * dataset.elements());
  samples.levels.clear();
  samples.weights.clear();
  samples.labels.clear();
  samples.tokens.clear();
  samples.noise.clear();
  samples.probes.clear();
  for (std::uint32_t row = 0; row < options.batch; ++row) {
    const std::uint32_t slot = first + row;
    const std::uint64_t position = step * options.samples() + slot;
    const std::uint64_t image = image_at(seed, count, static_cast<std::uint32_t>(position / count), position % count);
    const SampleDraw draw = draw_sample(seed, step, slot);
    const View view = {dataset.flips && draw.flips, window_at(draw.top, dataset.margin),
                       window_at(draw.left, dataset.margin)};
    dataset.read(image, view, samples.images.data() + row * dataset.elements());
    const DrawnLevel drawn = sampler.draw(draw.word);
    samples.levels.push_back(drawn.level);
    samples.weights.push_back(drawn.weight);
    if (!dataset.tokens.empty()) draw_tokens(options, dataset, image, draw_text(seed, step, slot), samples.tokens);
    if (dataset.labels.empty()) continue;
    samples.labels.push_back(draw.uniform < options.label_dropout ? options.null_label : dataset.labels[image]);
  }
}

void copy_samples(const TrainerOptions& options, const GivenSamples& given, const SampleShape& shape,
                  std::uint64_t first, Samples& samples) {
  const std::uint64_t elements = shape.elements;
  copy_range(given.images, first * elements, options.batch * elements, samples.images);
  copy_range(given.noise, first * elements, options.batch * elements, samples.noise);
  // Samples are used again: those of the evaluation before may have had probes.
  samples.probes.clear();
  if (!given.probes.empty()) copy_range(given.probes, first * elements, options.batch * elements, samples.probes);
  copy_range(given.levels, first, options.batch, samples.levels);
  samples.weights.assign(options.batch, 1);
  if (!given.labels.empty()) copy_range(given.labels, first, options.batch, samples.labels);
  const std::uint64_t tokens = shape.texts.tokens;
  copy_range(given.tokens, first * tokens, options.batch * tokens, samples.tokens);
}

void check_dataset(const TrainerOptions& options, const Dataset& dataset, const SampleShape& shape) {
  constexpr std::uint64_t kMostMargin = 0xFFFF;
  require(dataset.margin <= kMostMargin, "cropMargin has to be at most 65535");
  require(dataset.count() > 0, "images: there are none");
  require(dataset.count() * dataset.stored() == dataset.numbers(), "images: the last one is not whole");
  require(dataset.labels.empty() || dataset.labels.size() == dataset.count(),
          "labels: there has to be one for each image");
  check_labels(options, dataset.labels, shape.classes);
  require(options.null_label >= -1 && (options.null_label == -1 || options.null_label < shape.classes),
          "nullLabel is out of range");
  check_texts(dataset, shape.texts);
}

void check_given(const TrainerOptions& options, const GivenSamples& given, const SampleShape& shape,
                 std::uint64_t steps) {
  const std::uint64_t count = steps * options.samples();
  const std::uint64_t elements = shape.elements;
  require(given.levels.size() == count, "samples.levels: there has to be one for each sample of each step");
  require(given.images.size() == count * elements && given.noise.size() == count * elements,
          "samples.images and samples.noise have another shape");
  require(given.probes.empty() || given.probes.size() == count * elements, "samples.probes have another shape");
  require(given.labels.empty() || given.labels.size() == count, "samples.labels: there has to be one each");
  check_labels(options, given.labels, shape.classes);
  check_given_texts(given.tokens, count, shape.texts);
  const std::size_t levels = options.levels.size();
  require(std::ranges::all_of(given.levels, [&](std::uint32_t level) { return level > 0 && level <= levels; }),
          "samples.levels: one is out of range");
}

}  // namespace dpm::training
