// The choice of cuDNN's engine for a graph and of its settings, as text that can be stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dpm::cuda {

struct EngineChoice {
  /// Index among all engines of the cuDNN version that made the choice.
  std::int64_t engine = 0;
  /// Kind and value of each setting ("knob").
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs;

  bool operator==(const EngineChoice&) const = default;
};

/// Writes a choice as text, e.g. `17:2=13,24=0`.
std::string to_text(const EngineChoice& choice);

/// Reads the text of a choice; empty for any other text, e.g. from a damaged file.
std::optional<EngineChoice> parse_engine_choice(const std::string& text);

}  // namespace dpm::cuda
