// Which engine of cuDNN computes a graph, and with which settings, as text that can be stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dpm::cuda {

struct EngineChoice {
  /// Index among all engines of the cuDNN version it was made with.
  std::int64_t engine = 0;
  /// Kind and value of each setting ("knob").
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs;

  bool operator==(const EngineChoice&) const = default;
};

/// E.g. `17:2=13,24=0`.
std::string to_text(const EngineChoice& choice);

/// The reverse; nothing for any other text, e.g. from a damaged file.
std::optional<EngineChoice> parse_engine_choice(const std::string& text);

}  // namespace dpm::cuda
