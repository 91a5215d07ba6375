// Test of the arguments of dpm_time_products, and of the table of shapes that it reads.
#include "timing_options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "network_shapes.h"
#include "problem.h"

namespace dpm::cuda {
namespace {

const std::string kRow = "convolution\t16\t8\t8\t16\t32\t8\t8\t32\t1\t3\t1\t1\t1\t1\t0\t1\t0";

/// A file that exists for the lifetime of the object.
class Table {
 public:
  explicit Table(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  ~Table() { std::filesystem::remove(path_); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = ::testing::TempDir() + "shapes-" + std::to_string(getpid()) + ".tsv";
};

/// Returns the error code and message for a wrong table.
std::pair<ErrorCode, std::string> refusal(const std::string& path) {
  try {
    read_network_shapes(path, 1);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kOk, ""};
}

std::string with(std::size_t field, const std::string& value) {
  std::string row;
  std::size_t at = 0;
  for (std::size_t begin = 0; begin <= kRow.size(); ++at) {
    const std::size_t end = std::min(kRow.find('\t', begin), kRow.size());
    row += (at == 0 ? "" : "\t") + (at == field ? value : kRow.substr(begin, end - begin));
    begin = end + 1;
  }
  return row;
}

TimingOptions parse(std::vector<std::string> words) {
  std::vector<char*> arguments(words.size());
  std::transform(words.begin(), words.end(), arguments.begin(), [](std::string& word) { return word.data(); });
  return parse_timing_options(arguments);
}

TEST(NetworkShapes, ReadsEveryKindOfLine) {
  const Table table("# a note\nkind\tin_channels\n\n" + kRow + "\nattention\t2\t16\t8\t32\t64\t96\t64\t64\t0.25");
  const NetworkShapes shapes = read_network_shapes(table.path(), 3);
  ASSERT_EQ(shapes.convolutions.size(), 1U);
  EXPECT_EQ(shapes.convolutions[0].batch, 3);
  EXPECT_EQ(shapes.convolutions[0].out_channels, 32);
  ASSERT_EQ(shapes.attentions.size(), 1U);
  EXPECT_EQ(shapes.attentions[0].k_token_stride, 96);
}

TEST(NetworkShapes, SaysWhichFieldOfWhichLineIsWrong) {
  const auto message = [](const std::string& text) {
    const Table table(kRow + "\n" + text);
    const auto [code, what] = refusal(table.path());
    EXPECT_EQ(code, ErrorCode::kArgument) << text;
    EXPECT_NE(what.find(".tsv:2: "), std::string::npos) << what;
    return what;
  };
  const auto says = [&](const std::string& text, const std::string& wanted) {
    EXPECT_NE(message(text).find(wanted), std::string::npos) << message(text);
  };
  says("pooling\t1", "kind is \"pooling\"");
  says("convolution", "in_channels is missing");
  says(kRow.substr(0, kRow.size() - 2), "silu is missing");
  says(kRow + "\t1", "more fields");
  says(with(1, "0"), "in_channels is \"0\"");
  says(with(1, "-1"), "in_channels");
  says(with(1, "99999999999999999999"), "in_channels");
  says(with(2, "8x"), "in_height is \"8x\"");
  says(with(3, ""), "in_width is \"\"");
  says(with(4, "15"), "stride is below its channels");
  says(with(6, "9"), "output size");
  says(with(10, "1000000"), "kernel");
  says(with(14, "2"), "bias");
  says(with(16, "nan"), "scale");
  says(with(16, "inf"), "scale");
  says(with(1, std::string(100000, 'a') + "\x1b"), "aaa\", not a number");
  says("attention\t2\t16\t8\t32\t63\t96\t64\t64\t0.25", "token stride is \"63\"");
  says("attention\t65536\t16\t8\t65536\t64\t96\t64\t64\t0.25", "token stride");
  says(std::string("\0\xff", 2), "kind is \"??\"");
}

TEST(NetworkShapes, RefusesWhatIsNoTable) {
  EXPECT_EQ(refusal("/there/is/none.tsv").first, ErrorCode::kFile);
  EXPECT_EQ(refusal("/dev/zero").first, ErrorCode::kFile);
  EXPECT_EQ(refusal(::testing::TempDir()).first, ErrorCode::kFile);
  const Table large(std::string((1 << 20) + 1, '\n'));
  EXPECT_EQ(refusal(large.path()).first, ErrorCode::kFile);
  const Table table(kRow);
  for (const int batch : {0, -1, 4097}) EXPECT_THROW(read_network_shapes(table.path(), batch), Error);
}

TEST(TimingOptions, AreRead) {
  const TimingOptions options = parse(
      {"a.tsv", "--batches", "2,3", "--types", "f16,tf32", "--rows", "7", "--operations", "1e6", "--seconds", "0.5"});
  EXPECT_EQ(options.shapes, "a.tsv");
  EXPECT_EQ(options.batches, (std::vector{2, 3}));
  EXPECT_EQ(options.types, (std::vector<std::string>{"f16", "tf32"}));
  EXPECT_EQ(options.rows, 7U);
  EXPECT_EQ(options.most_operations, 1e6);
  EXPECT_EQ(options.seconds, 0.5);
}

TEST(TimingOptions, RefuseWhatMeansNothing) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"a", "b"},
      {"a", "--rows"},
      {"a", "--what", "1"},
      {"a", "--rows", "0"},
      {"a", "--rows", "x"},
      {"a", "--seconds", "nan"},
      {"a", "--seconds", "-1"},
      {"a", "--seconds", ""},
      {"a", "--batches", "1,,2"},
      {"a", "--batches", "4097"},
      {"a", "--types", "bf16,f64"},
  };
  for (const std::vector<std::string>& words : wrong) EXPECT_THROW(parse(words), Error) << words.size();
}

TEST(ListedProblems, AreDistinctAndTheMostValuableFirst) {
  const std::string large = "convolution\t128\t1024\t1024\t128\t128\t1024\t1024\t128\t1\t3\t1\t1\t1\t1\t0\t1\t0";
  const std::string attention = "attention\t1\t16\t16\t32\t32\t32\t32\t32\t0.25";
  const Table table(large + "\n" + kRow + "\n" + kRow + "\n" + attention + "\n" + with(17, "1"));
  std::vector<std::string> order;
  for (const Problem& problem : list_problems(parse({table.path(), "--batches", "1,128", "--types", "f16,bf16"}))) {
    const std::string text = describe(problem);
    order.push_back(text.substr(0, text.find_first_of("@,")) + (text.ends_with("silu") ? " silu, " : ", ") +
                    std::to_string(batch_of(problem)));
  }
  const auto of_type = [](const std::string& type) {
    // The large map is usual with batch 1, but not with 128.
    std::vector<std::string> wanted;
    for (const char* each : {"attention 16x16, 1", "attention 16x16, 128", "3x3 128, 1", "3x3 16, 1", "3x3 16, 128",
                             "3x3 16 silu, 1", "3x3 16 silu, 128", "3x3 128, 128"}) {
      wanted.push_back(type + " " + each);
    }
    return wanted;
  };
  std::vector<std::string> wanted = of_type("f16");
  for (const std::string& each : of_type("bf16")) wanted.push_back(each);
  EXPECT_EQ(order, wanted);
}

TEST(ListedProblems, AreLimited) {
  const Table table(kRow + "\n" + with(17, "1"));
  EXPECT_EQ(list_problems(parse({table.path(), "--rows", "1"})).size(), 2U);
  // The problem of batch 1 has 8 x 8 x 32 x 9 x 16 multiplications.
  EXPECT_EQ(list_problems(parse({table.path(), "--operations", "294912"})).size(), 2U);
  EXPECT_EQ(list_problems(parse({table.path(), "--operations", "294911"})).size(), 0U);
}

TEST(DescribedProblems, DifferWhereProblemsDo) {
  ConvolutionProblem problem;
  problem.residual_pixel_stride = 4;
  std::set<std::string> seen{describe(problem)};
  const auto add = [&](const auto& change) {
    ConvolutionProblem other = problem;
    change(other);
    EXPECT_TRUE(seen.insert(describe(other)).second) << describe(other);
  };
  add([](auto& p) { p.in_channels = 2; });
  add([](auto& p) { p.in_height = 2; });
  add([](auto& p) { p.in_width = 2; });
  add([](auto& p) { p.in_pixel_stride = 2; });
  add([](auto& p) { p.out_channels = 2; });
  add([](auto& p) { p.out_height = 2; });
  add([](auto& p) { p.out_width = 2; });
  add([](auto& p) { p.out_pixel_stride = 2; });
  add([](auto& p) { p.kernel = 2; });
  add([](auto& p) { p.stride = 2; });
  add([](auto& p) { p.pad_before = 1; });
  add([](auto& p) { p.pad_after = 1; });
  add([](auto& p) { p.dtype = DType::kFloat16; });
  add([](auto& p) { p.tf32 = true; });
  add([](auto& p) { p.bias = true; });
  add([](auto& p) { p.residual = true; });
  add([](auto& p) { p.residual = true, p.residual_pixel_stride = 8; });
  add([](auto& p) { p.scale = 2; });
  add([](auto& p) { p.silu = true; });
}

}  // namespace
}  // namespace dpm::cuda
