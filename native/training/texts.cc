#include "training/texts.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace dpm::training {
namespace {

bool are_ids(const std::vector<std::int32_t>& tokens, const TextShape& shape) {
  return std::ranges::all_of(
      tokens, [&](std::int32_t id) { return id >= 0 && static_cast<std::uint64_t>(id) < shape.vocabulary; });
}

}  // namespace

TextShape text_shape_of(const graph::Graph& graph) {
  const int binding = graph.find_binding(DPM_BINDING_CONTEXT);
  if (binding < 0) return {};
  const int index = graph.bindings[static_cast<std::size_t>(binding)].value;
  const graph::Value& value = graph.values[static_cast<std::size_t>(index)];
  if (value.is_of_groups() || value.width != 1) {
    throw Error(ErrorCode::kUnsupported,
                "a network learns from texts where each sample has a context of its own, [vocabulary, tokens, 1]");
  }
  return {static_cast<std::uint64_t>(value.channels), static_cast<std::uint64_t>(value.height)};
}

void check_null_tokens(const TrainerOptions& options, const TextShape& shape) {
  require(options.text_dropout == 0 || !options.null_tokens.empty(),
          "nullTokens: texts are dropped by textDropout, so there has to be one that stands for none");
  if (options.null_tokens.empty()) return;
  require(shape.has_texts(), "nullTokens: the network sees no texts");
  require(options.null_tokens.size() == shape.tokens, "nullTokens: they are not one text of the network's length");
  require(are_ids(options.null_tokens, shape), "nullTokens: one is out of range");
}

void check_texts(const Dataset& dataset, const TextShape& shape) {
  if (!shape.has_texts()) {
    require(dataset.tokens.empty(), "tokens: the network sees no texts");
    require(dataset.first_texts.empty(), "firstTexts: the network sees no texts");
    return;
  }
  require(!dataset.tokens.empty(), "tokens: the network sees texts, so it needs some");
  require(dataset.tokens.size() % shape.tokens == 0, "tokens: the last text is not whole");
  require(are_ids(dataset.tokens, shape), "tokens: one is out of range");
  const std::vector<std::uint32_t>& first = dataset.first_texts;
  require(first.size() == dataset.count() + 1, "firstTexts: there has to be one for each image, and one behind them");
  require(first.front() == 0, "firstTexts: the first one has to be 0");
  require(std::ranges::adjacent_find(first, std::greater_equal{}) == first.end(),
          "firstTexts have to rise, because each image has a text");
  require(first.back() == dataset.tokens.size() / shape.tokens, "firstTexts: the last one is the number of texts");
}

void check_given_texts(const std::vector<std::int32_t>& tokens, std::uint64_t count, const TextShape& shape) {
  if (!shape.has_texts()) return require(tokens.empty(), "samples.tokens: the network sees no texts");
  require(tokens.size() % shape.tokens == 0 && tokens.size() / shape.tokens == count,
          "samples.tokens: there has to be a text for each sample of each step, because the network sees texts");
  require(are_ids(tokens, shape), "samples.tokens: one is out of range");
}

TextMaps::TextMaps(Device& device, std::uint64_t rows, const TextShape& shape)
    : shape_(shape),
      buffer_(device.allocate(rows * shape.elements() * sizeof(float))),
      maps_(rows * shape.elements()) {}

void TextMaps::upload(const std::vector<std::int32_t>& tokens) {
  set(0);
  tokens_ = tokens;
  set(1);
  buffer_->upload(0, maps_.data(), maps_.size() * sizeof(float));
}

void TextMaps::set(float value) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::uint64_t row = i / shape_.tokens;
    const std::uint64_t token = i % shape_.tokens;
    maps_[row * shape_.elements() + static_cast<std::uint64_t>(tokens_[i]) * shape_.tokens + token] = value;
  }
}

}  // namespace dpm::training
