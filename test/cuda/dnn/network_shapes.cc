#include "network_shapes.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace dpm::cuda {
namespace {

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 20;
/// Limits whose products with a batch fit into 64 bits.
constexpr int kMostChannels = 1 << 16;
constexpr int kMostPixels = 1 << 13;
constexpr int kMostTokens = 1 << 20;
constexpr int kLargestKernel = 64;
constexpr int kMostBatch = 1 << 12;

/// The fields of a line, from the left.
class Fields {
 public:
  Fields(std::string place, std::string_view line) : place_(std::move(place)), rest_(line) {}

  std::string_view next(const char* name) {
    if (is_over_) fail(name, "is missing");
    const std::size_t tab = rest_.find('\t');
    const std::string_view field = rest_.substr(0, tab);
    is_over_ = tab == std::string_view::npos;
    if (!is_over_) rest_.remove_prefix(tab + 1);
    return field;
  }

  int whole(const char* name, int least, int most) {
    const std::string_view field = next(name);
    int value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || value < least || value > most) {
      fail(name,
           "is \"" + shown(field) + "\", not a number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
  }
  int size(const char* name, int most) { return whole(name, 1, most); }
  bool flag(const char* name) { return whole(name, 0, 1) == 1; }

  float factor(const char* name) {
    const std::string_view field = next(name);
    float value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value)) {
      fail(name, "is \"" + shown(field) + "\", not a finite number");
    }
    return value;
  }

  void end() const {
    if (!is_over_) fail("the line", "has more fields than its kind");
  }

  [[noreturn]] void fail(const char* name, const std::string& what) const {
    throw Error(ErrorCode::kArgument, place_ + ": " + name + " " + what);
  }

  /// Returns arbitrary text in a printable form.
  static std::string shown(std::string_view text) {
    constexpr std::size_t kMost = 40;
    std::string printable(text.substr(0, kMost));
    for (char& c : printable) {
      if (c < ' ' || c > '~') c = '?';
    }
    return printable;
  }

 private:
  std::string place_;
  std::string_view rest_;
  bool is_over_ = false;
};

ConvolutionProblem read_convolution(Fields& row, int batch) {
  ConvolutionProblem p;
  p.batch = batch;
  p.dtype = DType::kBFloat16;
  p.in_channels = row.size("in_channels", kMostChannels);
  p.in_height = row.size("in_height", kMostPixels);
  p.in_width = row.size("in_width", kMostPixels);
  p.in_pixel_stride = row.size("in_pixel_stride", kMostChannels);
  p.out_channels = row.size("out_channels", kMostChannels);
  p.out_height = row.size("out_height", kMostPixels);
  p.out_width = row.size("out_width", kMostPixels);
  p.out_pixel_stride = row.size("out_pixel_stride", kMostChannels);
  p.residual_pixel_stride = row.size("residual_pixel_stride", kMostChannels);
  p.kernel = row.size("kernel", kLargestKernel);
  p.stride = row.size("stride", kLargestKernel);
  p.pad_before = row.whole("pad_before", 0, kLargestKernel);
  p.pad_after = row.whole("pad_after", 0, kLargestKernel);
  p.bias = row.flag("bias");
  p.residual = row.flag("residual");
  p.scale = row.factor("scale");
  p.silu = row.flag("silu");
  row.end();
  try {
    check_problem(p);
  } catch (const Error& error) {
    row.fail("the line is none:", error.what());
  }
  return p;
}

AttentionProblem read_attention(Fields& row, int batch) {
  AttentionProblem p;
  p.batch = batch;
  p.dtype = DType::kBFloat16;
  p.heads = row.size("heads", kMostChannels);
  p.query_tokens = row.size("query_tokens", kMostTokens);
  p.key_tokens = row.size("key_tokens", kMostTokens);
  p.width = row.size("width", kMostChannels);
  const int channels = p.heads <= kMostChannels / p.width ? p.heads * p.width : kMostChannels + 1;
  for (std::int64_t* stride : {&p.q_token_stride, &p.k_token_stride, &p.v_token_stride, &p.out_token_stride}) {
    *stride = row.whole("a token stride", channels, kMostChannels);
  }
  p.scale = row.factor("scale");
  row.end();
  return p;
}

void read_line(Fields row, int batch, NetworkShapes* shapes) {
  const std::string_view kind = row.next("kind");
  if (kind == "convolution") {
    shapes->convolutions.push_back(read_convolution(row, batch));
  } else if (kind == "attention") {
    shapes->attentions.push_back(read_attention(row, batch));
  } else if (kind != "kind" && !kind.empty() && !kind.starts_with('#')) {
    row.fail("kind", "is \"" + Fields::shown(kind) + "\", not convolution or attention");
  }
}

[[noreturn]] void refuse_file(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kFile, path + ": " + why);
}

std::ifstream open_table(const std::string& path) {
  std::error_code error;
  const bool is_file = std::filesystem::is_regular_file(path, error);
  if (error) refuse_file(path, error.message());
  if (!is_file) refuse_file(path, "is no file");
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) refuse_file(path, error.message());
  if (bytes > kMostBytes) refuse_file(path, "has more than 1 MiB, which no table of shapes has");
  std::ifstream file(path);
  if (!file) refuse_file(path, "cannot be opened");
  return file;
}

}  // namespace

NetworkShapes read_network_shapes(const std::string& path, int batch) {
  require(batch >= 1 && batch <= kMostBatch, "a batch is not a number from 1 to 4096");
  std::ifstream file = open_table(path);
  NetworkShapes shapes;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    read_line(Fields(path + ":" + std::to_string(++number), line), batch, &shapes);
  }
  if (file.bad()) refuse_file(path, "cannot be read");
  return shapes;
}

ConvolutionProblem data_gradient_of(const ConvolutionProblem& p) {
  ConvolutionProblem gradient;
  gradient.batch = p.batch;
  gradient.dtype = p.dtype;
  gradient.in_channels = p.out_channels;
  gradient.in_height = p.out_height;
  gradient.in_width = p.out_width;
  gradient.in_pixel_stride = p.out_pixel_stride;
  gradient.out_channels = p.in_channels;
  gradient.out_height = p.in_height;
  gradient.out_width = p.in_width;
  gradient.out_pixel_stride = gradient.residual_pixel_stride = p.in_channels;
  gradient.kernel = p.kernel;
  gradient.zero_upsample = p.stride == 2;
  gradient.pad_before = p.kernel - 1 - p.pad_before;
  gradient.pad_after = p.in_height - p.stride * p.out_height + p.pad_before;
  return gradient;
}

}  // namespace dpm::cuda
