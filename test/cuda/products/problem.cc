#include "problem.h"

#include <array>
#include <cstdio>

namespace dpm::cuda {
namespace {

std::string number(float value) {
  constexpr std::size_t kLongest = 40;
  std::array<char, kLongest> text{};
  // Nine digits distinguish any two numbers.
  (void)std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
  return text.data();
}

std::string sizes(std::int64_t a, std::int64_t b) { return std::to_string(a) + "x" + std::to_string(b); }

std::string map_text(int channels, int height, int width, std::int64_t pixel_stride) {
  const std::string text = std::to_string(channels) + "@" + sizes(height, width);
  return pixel_stride == channels ? text : text + " in " + std::to_string(pixel_stride);
}

std::string text_of(const ConvolutionProblem& p) {
  std::string text = sizes(p.kernel, p.kernel);
  if (p.stride != 1) text += " by " + std::to_string(p.stride);
  if (p.pad_before != p.kernel / 2 || p.pad_after != p.kernel / 2) {
    text += " padded " + std::to_string(p.pad_before) + "+" + std::to_string(p.pad_after);
  }
  text += " " + map_text(p.in_channels, p.in_height, p.in_width, p.in_pixel_stride) + " -> " +
          map_text(p.out_channels, p.out_height, p.out_width, p.out_pixel_stride);
  if (p.zero_upsample) text += ", zeros between";
  if (p.bias) text += ", bias";
  if (p.residual) text += ", residual of " + std::to_string(p.residual_pixel_stride);
  if (p.scale != 1.0F) text += ", scale " + number(p.scale);
  return p.silu ? text + ", silu" : text;
}

std::string text_of(const AttentionProblem& p) {
  return "attention " + sizes(p.query_tokens, p.key_tokens) + ", " + std::to_string(p.heads) +
         (p.heads == 1 ? " head of " : " heads of ") + std::to_string(p.width) + " in " +
         sizes(p.q_token_stride, p.k_token_stride) + "x" + sizes(p.v_token_stride, p.out_token_stride) + ", scale " +
         number(p.scale);
}

bool is_tf32(const ConvolutionProblem& problem) { return problem.tf32; }
bool is_tf32(const AttentionProblem& /*problem*/) { return false; }

}  // namespace

int batch_of(const Problem& problem) {
  return std::visit([](const auto& each) { return each.batch; }, problem);
}

std::string key_of(const Problem& problem) {
  return std::visit([](const auto& each) { return problem_key(each); }, problem);
}

std::string type_name(const Problem& problem) {
  return std::visit(
      [](const auto& each) {
        if (each.dtype == DType::kBFloat16) return "bf16";
        if (each.dtype == DType::kFloat16) return "f16";
        return is_tf32(each) ? "tf32" : "f32";
      },
      problem);
}

std::string describe(const Problem& problem) {
  return type_name(problem) + " " + std::visit([](const auto& each) { return text_of(each); }, problem);
}

}  // namespace dpm::cuda
