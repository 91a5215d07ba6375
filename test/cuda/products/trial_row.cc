#include "trial_row.h"

#include <cmath>
#include <cstdio>
#include <string_view>

namespace dpm::cuda {
namespace {

std::string number(const char* format, double value) {
  // JSON has no NaN.
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
    // Messages of libraries are ASCII, and have ends of lines.
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

std::string map_text(int channels, int height, int width, std::int64_t pixel_stride) {
  std::string text = std::to_string(channels) + "@" + std::to_string(height) + "x" + std::to_string(width);
  return pixel_stride == channels ? text : text + " in " + std::to_string(pixel_stride);
}

/// The engine and its settings stand behind the parts.
void add_candidate(Line* line, const std::string& candidate) {
  const std::size_t slash = candidate.find('/');
  const std::size_t colon = candidate.find(':', slash == std::string::npos ? 0 : slash);
  if (slash == std::string::npos || colon == std::string::npos) return;
  line->add("candidate", quoted(candidate))
      .add("engine", quoted(candidate.substr(slash + 1, colon - slash - 1)))
      .add("knobs", quoted(candidate.substr(colon + 1)));
}

}  // namespace

std::string type_name(const ConvolutionProblem& problem) {
  if (problem.dtype == DType::kBFloat16) return "bf16";
  if (problem.dtype == DType::kFloat16) return "f16";
  return problem.tf32 ? "tf32" : "f32";
}

std::string describe(const ConvolutionProblem& p) {
  const std::string kernel = std::to_string(p.kernel);
  std::string text = type_name(p) + " " + kernel + "x" + kernel;
  if (p.stride != 1) text += " by " + std::to_string(p.stride);
  if (p.pad_before != p.kernel / 2 || p.pad_after != p.kernel / 2) {
    text += " padded " + std::to_string(p.pad_before) + "+" + std::to_string(p.pad_after);
  }
  text += " " + map_text(p.in_channels, p.in_height, p.in_width, p.in_pixel_stride) + " -> " +
          map_text(p.out_channels, p.out_height, p.out_width, p.out_pixel_stride);
  if (p.bias) text += ", bias";
  if (p.residual) text += ", residual of " + std::to_string(p.residual_pixel_stride);
  if (p.scale != 1.0F) text += ", scale " + number("%.9g", static_cast<double>(p.scale));
  return p.silu ? text + ", silu" : text;
}

std::string to_json(const ConvolutionProblem& problem, const TrialRow& row) {
  Line line;
  line.add("problem", quoted(describe(problem)))
      .add("batch", std::to_string(problem.batch))
      .add("type", quoted(type_name(problem)))
      .add("key", quoted(problem_key(problem)))
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
