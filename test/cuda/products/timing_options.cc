#include "timing_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

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
  // The condition is written so that NaN is refused, too.
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

/// A type that a problem may have.
struct Type {
  const char* name;
  DType dtype;
  bool tf32;
};
constexpr std::array kTypes{Type{"bf16", DType::kBFloat16, false}, Type{"f16", DType::kFloat16, false},
                            Type{"f32", DType::kFloat32, false}, Type{"tf32", DType::kFloat32, true}};

const Type* find_type(std::string_view name) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& type) { return name == type.name; });
  return found == kTypes.end() ? nullptr : found;
}

std::vector<std::string> types(std::string_view name, std::string_view list) {
  std::vector<std::string> chosen;
  for (const std::string_view type : split(list)) {
    if (find_type(type) == nullptr) refuse(name, type, "bf16, f16, f32 or tf32");
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

double operations(const AttentionProblem& p) {
  return 2.0 * p.batch * p.heads * p.query_tokens * p.key_tokens * p.width;
}

bool is_huge(const Problem& problem) {
  if (std::holds_alternative<AttentionProblem>(problem)) return false;
  const auto& p = std::get<ConvolutionProblem>(problem);
  const std::int64_t in = std::int64_t{p.batch} * p.in_height * p.in_width * p.in_pixel_stride;
  const std::int64_t out_pixels = std::int64_t{p.batch} * p.out_height * p.out_width;
  return std::max(in, out_pixels * std::max(p.out_pixel_stride, p.residual ? p.residual_pixel_stride : 0)) >
         kLargestUsualMap;
}

void set_type(const Type& type, ConvolutionProblem* problem) {
  problem->dtype = type.dtype;
  problem->tf32 = type.tf32;
}

void set_type(const Type& type, AttentionProblem* problem) { problem->dtype = type.dtype; }

/// Lists problems that it has not listed before.
class Listing {
 public:
  explicit Listing(const TimingOptions& options) : options_(options) {}

  template <typename Row>
  void add(std::vector<Row> rows, const Type& type) {
    rows.resize(std::min(rows.size(), options_.rows));
    for (Row& row : rows) {
      set_type(type, &row);
      for (const int batch : options_.batches) {
        row.batch = batch;
        if (operations(row) > options_.most_operations || !seen_.insert(problem_key(row)).second) continue;
        (is_huge(row) ? huge_ : listed_).emplace_back(row);
      }
    }
  }

  /// Adds huge problems behind all others of their type.
  void add_huge() {
    listed_.insert(listed_.end(), huge_.begin(), huge_.end());
    huge_.clear();
  }

  [[nodiscard]] std::vector<Problem> take() { return std::move(listed_); }

 private:
  const TimingOptions& options_;
  std::set<std::string> seen_;
  std::vector<Problem> listed_, huge_;
};

}  // namespace

const char* const kTimingUsage =
    "dpm_time_products SHAPES.tsv [options]: the time of every way to compute the products of a table\n"
    "  --batches LIST      1,128 by default\n"
    "  --types LIST        of bf16, f16, f32 and tf32; bf16 by default\n"
    "  --rows COUNT        only the first of each kind\n"
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

std::vector<Problem> list_problems(const TimingOptions& options) {
  const NetworkShapes shapes = read_network_shapes(options.shapes, 1);
  Listing listing(options);
  for (const std::string& name : options.types) {
    const Type* type = find_type(name);
    if (type == nullptr) continue;
    listing.add(shapes.attentions, *type);
    listing.add(shapes.convolutions, *type);
    listing.add_huge();
  }
  return listing.take();
}

}  // namespace dpm::cuda
