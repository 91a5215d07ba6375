#include "trial_row.h"

#include <cmath>
#include <cstdio>
#include <string_view>

namespace dpm::cuda {
namespace {

std::string number(const char* format, double value) {
  // NaN is written as null, because JSON has no NaN.
  if (!std::isfinite(value)) return "null";
  constexpr std::size_t kLongest = 40;
  std::string text(kLongest, '\0');
  const int length = std::snprintf(text.data(), text.size(), format, value);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    // Line ends in messages of libraries are replaced; the messages are otherwise ASCII.
    result += c < ' ' || c > '~' ? ' ' : c;
  }
  return result + '"';
}

class Line {
 public:
  Line& add(const char* name, const std::string& value) {
    text_ += (text_.empty() ? "{\"" : ",\"") + std::string(name) + "\":" + value;
    return *this;
  }
  [[nodiscard]] std::string end() const { return text_ + "}"; }

 private:
  std::string text_;
};

std::string parts_text(unsigned parts) {
  std::string text;
  const auto add = [&](unsigned part, const char* name) {
    if ((parts & part) != 0) text += (text.empty() ? "" : " ") + std::string(name);
  };
  add(kPartBias, "bias");
  add(kPartResidual, "residual");
  add(kPartScale, "scale");
  add(kPartSilu, "silu");
  return text;
}

/// Adds a candidate, whose engine and settings come after the parts.
void add_candidate(Line* line, const std::string& candidate) {
  const std::size_t slash = candidate.find('/');
  const std::size_t colon = candidate.find(':', slash == std::string::npos ? 0 : slash);
  if (slash == std::string::npos || colon == std::string::npos) return;
  line->add("candidate", quoted(candidate))
      .add("engine", quoted(candidate.substr(slash + 1, colon - slash - 1)))
      .add("knobs", quoted(candidate.substr(colon + 1)));
}

}  // namespace

std::string to_json(const Problem& problem, const TrialRow& row) {
  Line line;
  line.add("problem", quoted(describe(problem)))
      .add("batch", std::to_string(batch_of(problem)))
      .add("type", quoted(type_name(problem)))
      .add("key", quoted(key_of(problem)))
      .add("kind", quoted(row.kind));
  add_candidate(&line, row.candidate);
  if (!row.candidate.empty()) {
    line.add("partsLeft", quoted(parts_text(row.parts_left))).add("packed", row.packed ? "true" : "false");
  }
  if (row.workspace_bytes > 0) line.add("workspaceBytes", std::to_string(row.workspace_bytes));
  if (row.right) line.add("right", *row.right ? "true" : "false");
  if (row.relative_error) line.add("relativeError", number("%.3g", *row.relative_error));
  if (row.seconds) line.add("microseconds", number("%.4g", *row.seconds * 1e6));
  if (!row.error.empty()) line.add("error", quoted(row.error));
  return line.end();
}

}  // namespace dpm::cuda
