#include "timing_options.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "network_shapes.h"

namespace dpm::cuda {
namespace {

constexpr int kMostBatch = 4096;
constexpr std::int64_t kLargestUsualMap = std::int64_t{1} << 28;

[[noreturn]] void refuse(std::string_view name, std::string_view value, const char* wanted) {
  throw Error(ErrorCode::kArgument,
              std::string(name) + " is \"" + std::string(value.substr(0, 40)) + "\", not " + wanted);
}

double number(std::string_view name, std::string_view value) {
  double result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  // NaN is not above zero, either.
  if (error != std::errc() || end != value.data() + value.size() || !(result > 0)) {
    refuse(name, value, "a number above 0");
  }
  return result;
}

int whole(std::string_view name, std::string_view value, int most) {
  int result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size() || result < 1 || result > most) {
    refuse(name, value, ("a number from 1 to " + std::to_string(most)).c_str());
  }
  return result;
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  for (std::size_t comma = list.find(','); comma != std::string_view::npos; comma = list.find(',')) {
    parts.push_back(list.substr(0, comma));
    list.remove_prefix(comma + 1);
  }
  parts.push_back(list);
  return parts;
}

bool set_type(const std::string& name, ConvolutionProblem* problem) {
  problem->tf32 = name == "tf32";
  problem->dtype = DType::kFloat32;
  if (name == "bf16") problem->dtype = DType::kBFloat16;
  if (name == "f16") problem->dtype = DType::kFloat16;
  return problem->dtype != DType::kFloat32 || problem->tf32 || name == "f32";
}

std::vector<std::string> types(std::string_view name, std::string_view list) {
  std::vector<std::string> chosen;
  for (const std::string_view type : split(list)) {
    ConvolutionProblem any;
    if (!set_type(std::string(type), &any)) refuse(name, type, "bf16, f16, f32 or tf32");
    chosen.emplace_back(type);
  }
  return chosen;
}

void set_option(std::string_view name, std::string_view value, TimingOptions* options) {
  if (name == "--batches") {
    options->batches.clear();
    for (const std::string_view batch : split(value)) options->batches.push_back(whole(name, batch, kMostBatch));
  } else if (name == "--types") {
    options->types = types(name, value);
  } else if (name == "--rows") {
    options->rows = static_cast<std::size_t>(whole(name, value, std::numeric_limits<int>::max()));
  } else if (name == "--operations") {
    options->most_operations = number(name, value);
  } else if (name == "--seconds") {
    options->seconds = number(name, value);
  } else {
    throw Error(ErrorCode::kArgument, "there is no option " + std::string(name.substr(0, 40)));
  }
}

double operations(const ConvolutionProblem& p) {
  return static_cast<double>(p.batch) * p.out_height * p.out_width * p.out_channels * p.kernel * p.kernel *
         p.in_channels;
}

bool is_huge(const ConvolutionProblem& p) {
  const std::int64_t in = std::int64_t{p.batch} * p.in_height * p.in_width * p.in_pixel_stride;
  const std::int64_t out_pixels = std::int64_t{p.batch} * p.out_height * p.out_width;
  return std::max(in, out_pixels * std::max(p.out_pixel_stride, p.residual ? p.residual_pixel_stride : 0)) >
         kLargestUsualMap;
}

}  // namespace

const char* const kTimingUsage =
    "dpm_time_products SHAPES.tsv [options]: the time of every way to compute the convolutions of a table\n"
    "  --batches LIST      1,128 by default\n"
    "  --types LIST        of bf16, f16, f32 and tf32; bf16 by default\n"
    "  --rows COUNT        only the first\n"
    "  --operations COUNT  no problem with more multiplications\n"
    "  --seconds SECONDS   begins no problem after them\n";

TimingOptions parse_timing_options(std::span<char* const> arguments) {
  TimingOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with("--")) {
      if (!options.shapes.empty()) throw Error(ErrorCode::kArgument, "there is more than one table");
      options.shapes = argument;
      continue;
    }
    if (++i == arguments.size())
      throw Error(ErrorCode::kArgument, std::string(argument.substr(0, 40)) + " has no value");
    set_option(argument, arguments[i], &options);
  }
  if (options.shapes.empty()) throw Error(ErrorCode::kArgument, "there is no table of shapes");
  return options;
}

std::vector<ConvolutionProblem> list_problems(const TimingOptions& options) {
  std::vector<ConvolutionProblem> rows = read_network_shapes(options.shapes, 1).convolutions;
  rows.resize(std::min(rows.size(), options.rows));
  std::vector<ConvolutionProblem> problems;
  std::set<std::string> seen;
  for (const std::string& type : options.types) {
    const std::size_t first = problems.size();
    for (ConvolutionProblem problem : rows) {
      set_type(type, &problem);
      for (const int batch : options.batches) {
        problem.batch = batch;
        if (operations(problem) > options.most_operations || !seen.insert(problem_key(problem)).second) continue;
        problems.push_back(problem);
      }
    }
    std::stable_partition(problems.begin() + static_cast<std::ptrdiff_t>(first), problems.end(),
                          [](const ConvolutionProblem& problem) { return !is_huge(problem); });
  }
  return problems;
}

}  // namespace dpm::cuda
