#include "cuda/dnn/engine_choice.h"

#include <charconv>
#include <string_view>

namespace dpm::cuda {
namespace {

constexpr std::size_t kMostKnobs = 64;

/// Removes a number from 0 to 2^31 - 1 from the front of `text`.
bool take_number(std::string_view* text, std::int64_t* value) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc() || *value < 0 || *value > INT32_MAX) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return true;
}

bool take(std::string_view* text, char wanted) {
  if (text->empty() || text->front() != wanted) return false;
  text->remove_prefix(1);
  return true;
}

}  // namespace

std::string to_text(const EngineChoice& choice) {
  std::string text = std::to_string(choice.engine) + ":";
  const char* separator = "";
  for (const auto& [kind, value] : choice.knobs) {
    text += separator + std::to_string(kind) + "=" + std::to_string(value);
    separator = ",";
  }
  return text;
}

std::optional<EngineChoice> parse_engine_choice(const std::string& text) {
  std::string_view rest = text;
  EngineChoice choice;
  if (!take_number(&rest, &choice.engine) || !take(&rest, ':')) return std::nullopt;
  while (!rest.empty()) {
    if (!choice.knobs.empty() && !take(&rest, ',')) return std::nullopt;
    auto& [kind, value] = choice.knobs.emplace_back();
    if (!take_number(&rest, &kind) || !take(&rest, '=') || !take_number(&rest, &value)) return std::nullopt;
    if (choice.knobs.size() > kMostKnobs) return std::nullopt;
  }
  return choice;
}

}  // namespace dpm::cuda
