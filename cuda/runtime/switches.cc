#include "cuda/runtime/switches.h"

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"

namespace dpm::cuda {
namespace {

std::string_view value_of(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

[[noreturn]] void refuse(const char* name, std::string_view value, const char* known) {
  throw Error(ErrorCode::kArgument, std::string(name) + " is '" + std::string(value) + "', known: " + known);
}

bool is_on(const char* name) {
  const std::string_view value = value_of(name);
  if (value == "off" || value == "0") return false;
  if (value.empty() || value == "on" || value == "1") return true;
  refuse(name, value, "on, off");
}

bool is_asked_for(const char* name) { return !value_of(name).empty() && is_on(name); }

std::optional<unsigned> parts_in(const char* name) {
  constexpr unsigned kAll = 15;
  const std::string_view value = value_of(name);
  if (value.empty()) return std::nullopt;
  unsigned parts = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parts);
  if (error != std::errc() || end != value.data() + value.size() || parts > kAll) refuse(name, value, "0 to 15");
  return parts;
}

}  // namespace

Switches read_switches() {
  Switches switches;
  switches.cudnn = is_on("DPM_CUDNN");
  switches.cudnn_attention = is_on("DPM_CUDNN_ATTENTION");
  switches.cudnn_parts = parts_in("DPM_CUDNN_PARTS");
  switches.print_plans = is_asked_for("DPM_CUDNN_PRINT");
  switches.small_convolutions = is_on("DPM_CUDA_SMALL");
  switches.completions = is_on("DPM_CUDA_COMPLETE");
  switches.predictions = is_on("DPM_CUDA_PREDICT");
  switches.graphs = is_on("DPM_CUDA_GRAPHS");
  switches.synchronise = is_asked_for("DPM_CUDA_SYNC");
  return switches;
}

}  // namespace dpm::cuda
