// Test of dpm_time_products on the emulated GPU, with loops in place of a library's plans.
#include "time_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/replay.h"
#include "output_comparison.h"
#include "runtime.h"
#include "scoped_environment.h"

namespace dpm::cuda {
namespace {

/// The loops, and the results that were stored of them.
class Learning : public Products {
 public:
  explicit Learning(const Stream& stream) : loops_(make_products(stream, stream, {}, &description_)) {}
  void prepare(std::span<const ConvolutionProblem> problems) override { prepared.push_back(problems.size()); }
  std::shared_ptr<const ConvolutionPlan> convolution(const ConvolutionProblem& problem,
                                                     const ConvolutionRest& rest) override {
    return loops_->convolution(problem, rest);
  }
  std::shared_ptr<const AttentionPlan> attention(const AttentionProblem& problem) override {
    return has_attention ? loops_->attention(attention_of(problem)) : nullptr;
  }
  std::vector<NamedPlan> candidates(const ConvolutionProblem& problem) override {
    if (refuses) throw Error(ErrorCode::kUnsupported, "no \"plan\"\nat all");
    std::vector<NamedPlan> plans = loops_->candidates(problem);
    if (more.plan) plans.push_back(more);
    return plans;
  }
  void keep(const ConvolutionProblem& problem, const std::string& chosen,
            std::span<const MeasuredCandidate> measured) override {
    choices[problem_key(problem)] = chosen;
    for (const MeasuredCandidate& each : measured) seconds[each.text] = each.seconds;
  }
  void save() override { ++saved; }

  bool refuses = false;
  bool has_attention = true;
  std::function<AttentionProblem(AttentionProblem)> attention_of = [](AttentionProblem problem) { return problem; };
  NamedPlan more;
  std::vector<std::size_t> prepared;
  std::map<std::string, std::string> choices;
  std::map<std::string, double> seconds;
  int saved = 0;

 private:
  std::string description_;
  std::unique_ptr<Products> loops_;
};

/// A plan that calls its function and takes no time.
class Planted : public ConvolutionPlan {
 public:
  Planted(ConvolutionResult result, std::function<void(const ConvolutionBuffers&, cudaStream_t)> run)
      : result_(result), run_(std::move(run)) {}
  [[nodiscard]] ConvolutionResult result() const override { return result_; }
  [[nodiscard]] std::int64_t workspace_bytes() const override { return 0; }
  void run(const ConvolutionBuffers& buffers, cudaStream_t stream) const override { run_(buffers, stream); }

 private:
  ConvolutionResult result_;
  std::function<void(const ConvolutionBuffers&, cudaStream_t)> run_;
};

ConvolutionProblem problem_of(DType dtype) {
  ConvolutionProblem p;
  p.batch = 2;
  p.in_channels = 16;
  p.in_height = p.in_width = p.out_height = p.out_width = 5;
  p.in_pixel_stride = 16;
  p.out_channels = 24;
  p.out_pixel_stride = 32;
  p.residual_pixel_stride = 24;
  p.kernel = 3;
  p.pad_before = p.pad_after = 1;
  p.dtype = dtype;
  p.bias = p.residual = true;
  p.scale = 0.75F;
  p.silu = true;
  return p;
}

constexpr std::array kTypes{DType::kBFloat16, DType::kFloat16, DType::kFloat32};

std::vector<Problem> problems_of_all_types() {
  std::vector<Problem> problems;
  std::transform(kTypes.begin(), kTypes.end(), std::back_inserter(problems), problem_of);
  return problems;
}

bool has(const std::string& row, const std::string& text) { return row.find(text) != std::string::npos; }

class TimeProducts : public ::testing::Test {
 protected:
  TimingSummary time(Products* products, const std::vector<Problem>& problems) {
    return time_products({stream_, products, is_late_, [&](const std::string& row) { rows_.push_back(row); }, 2},
                         problems);
  }
  /// Returns the rows of this kind.
  [[nodiscard]] std::vector<std::string> of(const std::string& kind) const {
    std::vector<std::string> some;
    std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(some),
                 [&](const std::string& row) { return has(row, "\"kind\":\"" + kind + "\""); });
    return some;
  }

  const Stream stream_;
  std::function<bool()> is_late_ = [] { return false; };
  std::vector<std::string> rows_;
};

TEST_F(TimeProducts, TriesEveryCandidateAndOurOwnKernels) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  const TimingSummary summary = time(&products, problems_of_all_types());
  EXPECT_EQ(summary.done, 3U);
  EXPECT_EQ(summary.wrong + summary.failed, 0U);
  EXPECT_EQ(of("own").size(), 3U);
  EXPECT_EQ(of("own small").size(), 2U) << "not in float32";
  EXPECT_EQ(of("bare").size(), 3U);
  EXPECT_EQ(of("joined").size(), 3U);
  EXPECT_TRUE(has(of("bare").front(), R"("partsLeft":"bias residual scale silu","packed":true)")) << rows_[0];
  for (const std::string& row : rows_) {
    EXPECT_TRUE(has(row, R"("kind":"own")") || has(row, R"("right":true)")) << row;
    EXPECT_TRUE(has(row, "\"microseconds\":")) << row;
  }
  EXPECT_EQ(products.prepared, (std::vector<std::size_t>{2, 1}));
  EXPECT_EQ(products.saved, 3);
  EXPECT_EQ(products.choices.size(), 3U);
}

TEST_F(TimeProducts, ADroppedEpilogueIsWrongAndNeverChosen) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "dropped");
  Learning products(stream_);
  const TimingSummary summary = time(&products, problems_of_all_types());
  EXPECT_EQ(summary.wrong, 3U);
  ASSERT_EQ(of("joined fallback").size(), 3U);
  for (const std::string& row : of("joined fallback")) EXPECT_TRUE(has(row, R"("right":false)")) << row;
  EXPECT_EQ(products.seconds.at("15/2:"), HUGE_VAL);
  for (const auto& [key, chosen] : products.choices) EXPECT_TRUE(chosen == "15/1:" || chosen == "0p/0:2=1") << chosen;
}

TEST_F(TimeProducts, EveryPartThatIsDroppedIsNoticed) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "dropped");
  Learning products(stream_);
  std::vector<Problem> problems;
  for (const DType dtype : kTypes) {
    for (const unsigned part : {kPartBias, kPartResidual, kPartScale, kPartSilu}) {
      ConvolutionProblem p = problem_of(dtype);
      p.bias = part == kPartBias;
      p.residual = part == kPartResidual;
      p.scale = part == kPartScale ? 0.9F : 1.0F;
      p.silu = part == kPartSilu;
      problems.emplace_back(p);
    }
  }
  EXPECT_EQ(time(&products, problems).wrong, problems.size());
}

TEST_F(TimeProducts, WhatDoesNothingInNoTimeIsWrong) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  products.more = {NamedPlan::Kind::kJoined,
                   "15/9:", std::make_shared<const Planted>(ConvolutionResult{15, false}, [](const auto&, auto) {})};
  EXPECT_EQ(time(&products, {problem_of(DType::kBFloat16)}).wrong, 1U);
  EXPECT_TRUE(has(rows_.back(), R"("right":false,"relativeError":null,"microseconds":)")) << rows_.back();
  EXPECT_NE(products.choices.begin()->second, "15/9:");
}

TEST_F(TimeProducts, ADataGradientHasItsWeightsTheOtherWayRound) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  for (const DType dtype : kTypes) {
    ConvolutionProblem problem = problem_of(dtype);
    problem.zero_upsample = true;
    problem.out_height = problem.out_width = 10;
    problem.pad_before = 2;
    problem.pad_after = 0;
    Learning products(stream_);
    EXPECT_EQ(time(&products, {problem}).wrong, 0U);
    EXPECT_EQ(products.choices.begin()->second, "0pg/0:");
  }
  EXPECT_EQ(of("bare").size(), kTypes.size());
  EXPECT_EQ(of("own small").size(), 0U);
  EXPECT_TRUE(has(rows_.back(), R"("right":true)")) << rows_.back();
  EXPECT_TRUE(has(rows_.back(), "zeros between")) << rows_.back();
}

TEST_F(TimeProducts, WhatWritesBetweenThePixelsIsWrong) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "all");
  const ConvolutionProblem problem = problem_of(DType::kBFloat16);
  Learning products(stream_);
  const auto right = products.convolution(problem, {});
  const auto memory = std::make_shared<MemoryCount>();
  const DeviceMemory workspace(*memory, 1 << 16);
  products.more = {NamedPlan::Kind::kJoined, "15/9:",
                   std::make_shared<const Planted>(ConvolutionResult{15, false}, [&](ConvolutionBuffers b, auto where) {
                     b.workspace = workspace.data();
                     right->run(b, where);
                     // The write is behind the channels of the first pixel.
                     (void)cudaMemsetAsync(static_cast<std::uint16_t*>(b.out) + 24, 0, 2, where);
                   })};
  EXPECT_EQ(time(&products, {problem}).wrong, 1U);
  EXPECT_TRUE(has(rows_.back(), R"("right":false,"relativeError":0,)")) << rows_.back();
  EXPECT_TRUE(has(rows_.back(), "between the pixels")) << rows_.back();
}

TEST_F(TimeProducts, ACandidateThatFailsIsARowAndTheNextIsTried) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  products.more = {NamedPlan::Kind::kBare, "0/9:", std::make_shared<const Planted>(ConvolutionResult{}, [](auto&&...) {
                     throw Error(ErrorCode::kDevice, "EXECUTION_FAILED");
                   })};
  const TimingSummary summary = time(&products, problems_of_all_types());
  EXPECT_EQ(summary.failed, 3U);
  EXPECT_EQ(of("bare").size(), 6U);
  EXPECT_TRUE(has(rows_.back(), R"("error":"EXECUTION_FAILED")")) << rows_.back();
  EXPECT_FALSE(has(rows_.back(), "right")) << rows_.back();
  EXPECT_EQ(products.seconds.at("0/9:"), HUGE_VAL);
}

TEST_F(TimeProducts, WhereTheLibraryHasNothingARowSaysWhy) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  products.refuses = true;
  ConvolutionProblem huge = problem_of(DType::kBFloat16);
  huge.in_height = huge.in_width = huge.out_height = huge.out_width = 8192;
  EXPECT_EQ(time(&products, {problem_of(DType::kBFloat16), huge}).failed, 2U);
  ASSERT_EQ(of("refused").size(), 2U);
  EXPECT_TRUE(has(of("refused")[0], R"("error":"no \"plan\" at all")")) << of("refused")[0];
  EXPECT_TRUE(has(of("refused")[1], "2^31 - 1")) << of("refused")[1];
  EXPECT_EQ(of("own").size(), 1U);
}

TEST_F(TimeProducts, ReportsAProblemThatIsTooLargeForTheCard) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  simt::limit_memory(std::size_t{1} << 16);
  const TimingSummary summary = time(&products, {problem_of(DType::kBFloat16)});
  simt::limit_memory(std::size_t{8} << 30);
  EXPECT_EQ(summary.done, 1U);
  EXPECT_EQ(of("refused").size(), 1U);
}

TEST_F(TimeProducts, ACardThatFailsEndsIt) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  products.more = {NamedPlan::Kind::kBare, "0/9:", std::make_shared<const Planted>(ConvolutionResult{}, [](auto&&...) {
                     simt::break_device(cudaErrorIllegalAddress);
                   })};
  EXPECT_THROW(time(&products, problems_of_all_types()), CardFailure);
  simt::repair_device();
  EXPECT_EQ(of("joined").size(), 1U) << "what came before it was printed";
}

TEST_F(TimeProducts, StopsAtTheDeadline) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  is_late_ = [&] { return of("own").size() == 2; };
  const TimingSummary summary = time(&products, problems_of_all_types());
  EXPECT_EQ(summary.done, 2U);
  EXPECT_EQ(products.saved, 2);
  rows_.clear();
  is_late_ = [] { return true; };
  EXPECT_EQ(time(&products, problems_of_all_types()).done, 0U);
}

TEST_F(TimeProducts, TimesOurOwnKernelsWhereThereIsNoLibrary) {
  EXPECT_EQ(time(nullptr, problems_of_all_types()).done, 3U);
  EXPECT_EQ(rows_.size(), 5U);
}

TEST_F(TimeProducts, ComparesAttentionsWithOurOwn) {
  const test::ScopedEnvironment loops("DPM_EMULATED_PRODUCTS", "bare");
  Learning products(stream_);
  AttentionProblem problem{.batch = 2, .heads = 2, .query_tokens = 9, .key_tokens = 7, .width = 16};
  problem.q_token_stride = 40;
  problem.k_token_stride = problem.v_token_stride = problem.out_token_stride = 32;
  problem.scale = 0.25F;
  std::vector<Problem> problems;
  for (const DType dtype : kTypes) {
    problem.dtype = dtype;
    problems.emplace_back(problem);
  }
  EXPECT_EQ(time(&products, problems).failed, 0U);
  ASSERT_EQ(of("attention").size(), 3U);
  for (const std::string& row : of("attention")) EXPECT_TRUE(has(row, R"("right":true)")) << row;
  products.attention_of = [](AttentionProblem other) {
    other.scale *= 1.5F;
    return other;
  };
  rows_.clear();
  EXPECT_EQ(time(&products, problems).wrong, 3U) << "another scale";
  rows_.clear();
  products.has_attention = false;
  EXPECT_EQ(time(&products, problems).failed, 3U);
  EXPECT_EQ(of("own").size(), 3U);
  EXPECT_EQ(of("refused").size(), 3U);
}

TEST(OutputComparison, SeesEveryElementAndNothingBesideTheChannels) {
  const Stream stream;
  for (const DType dtype : kTypes) {
    const OutputLayout layout{std::int64_t{2} * 25, 24, 32, dtype, false};
    const std::size_t size = dtype_size(dtype);
    const std::size_t elements = std::size_t{2} * 25 * 32;
    MemoryCount count;
    const DeviceMemory actual(count, elements * size);
    const DeviceMemory expected(count, elements * size);
    const OutputComparison comparison(stream, layout);
    for (const std::size_t changed : {std::size_t{0}, std::size_t{23}, std::size_t{24}, elements - 9, elements - 1}) {
      (void)cudaMemsetAsync(actual.data(), 0x3C, actual.bytes(), stream.get());
      (void)cudaMemsetAsync(expected.data(), 0x3C, actual.bytes(), stream.get());
      EXPECT_TRUE(is_right(comparison.compare(actual.data(), expected.data()), layout));
      (void)cudaMemsetAsync(actual.as<unsigned char>() + changed * size, 0x3D, size, stream.get());
      const Difference difference = comparison.compare(actual.data(), expected.data());
      EXPECT_FALSE(is_right(difference, layout)) << changed;
      EXPECT_EQ(difference.spills, changed % 32 >= 24) << changed;
      EXPECT_EQ(difference.relative > 0, changed % 32 < 24) << changed;
    }
  }
}

}  // namespace
}  // namespace dpm::cuda
