#include "cuda/products/convolution_problem.h"

#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "cuda/dnn/engine_choice.h"

namespace dpm::cuda {
namespace {

ConvolutionProblem sample() {
  ConvolutionProblem p;
  p.batch = 2;
  p.in_channels = 64;
  p.in_height = p.out_height = 16;
  p.in_width = p.out_width = 12;
  p.in_pixel_stride = 128;
  p.out_channels = 32;
  p.out_pixel_stride = p.residual_pixel_stride = 32;
  p.kernel = 3;
  p.pad_before = p.pad_after = 1;
  p.dtype = DType::kFloat16;
  return p;
}

/// Returns the sample with one field changed, for each field.
std::vector<ConvolutionProblem> variants() {
  std::vector<ConvolutionProblem> all;
  const auto add = [&](auto change) {
    ConvolutionProblem problem = sample();
    change(problem);
    all.push_back(problem);
  };
  add([](auto& p) { p.batch = 3; });
  add([](auto& p) { p.in_channels = 63; });
  add([](auto& p) { p.in_height = 17; });
  add([](auto& p) { p.in_width = 13; });
  add([](auto& p) { p.in_pixel_stride = 129; });
  add([](auto& p) { p.out_channels = 33; });
  add([](auto& p) { p.out_height = 17; });
  add([](auto& p) { p.out_width = 13; });
  add([](auto& p) { p.out_pixel_stride = 33; });
  add([](auto& p) { p.residual_pixel_stride = 33; });
  add([](auto& p) { p.kernel = 1; });
  add([](auto& p) { p.stride = 2; });
  add([](auto& p) { p.pad_before = 0; });
  add([](auto& p) { p.pad_after = 0; });
  add([](auto& p) { p.dtype = DType::kBFloat16; });
  add([](auto& p) { p.tf32 = true; });
  add([](auto& p) { p.bias = true; });
  add([](auto& p) { p.residual = true; });
  add([](auto& p) { p.scale = 1.0000001F; });
  add([](auto& p) { p.silu = true; });
  add([](auto& p) { p.zero_upsample = true; });
  return all;
}

TEST(ProblemKey, IsAnotherForEveryField) {
  std::set<std::string> keys{problem_key(sample())};
  const auto all = variants();
  for (const ConvolutionProblem& problem : all) {
    keys.insert(problem_key(problem));
    EXPECT_NE(problem, sample());
  }
  EXPECT_EQ(keys.size(), all.size() + 1);
  EXPECT_EQ(problem_key(sample()), problem_key(sample()));
}

TEST(ProblemKey, HasOnlyPlainCharacters) {
  const std::string allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-";
  EXPECT_EQ(problem_key(sample()).find_first_not_of(allowed), std::string::npos) << problem_key(sample());
}

TEST(CheckProblem, AcceptsOnlySizesThatFit) {
  EXPECT_NO_THROW(check_problem(sample()));
  const auto refused = [](auto change) {
    ConvolutionProblem p = sample();
    change(p);
    EXPECT_THROW(check_problem(p), Error);
  };
  refused([](auto& p) { p.batch = 0; });
  refused([](auto& p) { p.stride = 0; });
  refused([](auto& p) { p.pad_after = -1; });
  refused([](auto& p) { p.out_height = 15; });
  refused([](auto& p) { p.kernel = 99; });
  refused([](auto& p) { p.zero_upsample = true; });
  refused([](auto& p) { p.in_pixel_stride = 63; });
  refused([](auto& p) { p.out_pixel_stride = 31; });
  refused([](auto& p) {
    p.residual = true;
    p.residual_pixel_stride = 31;
  });
}

TEST(CheckProblem, AcceptsTheSizeOfAnEnlargedInput) {
  ConvolutionProblem p = sample();
  p.zero_upsample = true;
  p.out_height *= 2;
  p.out_width *= 2;
  EXPECT_NO_THROW(check_problem(p));
}

/// Returns the adjoint of a problem that reads 8 x 6 pixels with zeros between them, or without.
std::optional<AdjointConvolution> adjoint(bool zeros, int kernel, int before, int after, int stride = 1) {
  ConvolutionProblem p = sample();
  p.in_height = 8;
  p.in_width = 6;
  p.zero_upsample = zeros;
  p.kernel = kernel;
  p.stride = stride;
  p.pad_before = before;
  p.pad_after = after;
  const auto size = [&](int in) { return ((zeros ? 2 : 1) * in + before + after - kernel) / stride + 1; };
  p.out_height = size(p.in_height);
  p.out_width = size(p.in_width);
  check_problem(p);
  return adjoint_of(p);
}

TEST(AdjointOf, IsTheConvolutionWhoseDataGradientItIs) {
  const auto is = [](const std::optional<AdjointConvolution>& found, int stride, int before, int after) {
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->stride, stride);
    EXPECT_EQ(found->pad_before, before);
    EXPECT_EQ(found->pad_after, after);
  };
  is(adjoint(false, 3, 1, 1), 1, 1, 1);
  is(adjoint(false, 3, 2, 0), 1, 0, 2);
  is(adjoint(false, 1, 0, 0), 1, 0, 0);
  is(adjoint(true, 3, 2, 0), 2, 0, 1);
  // The convolution does not reach the last row of zeros.
  is(adjoint(true, 3, 1, 1), 2, 1, 0);
  is(adjoint(true, 1, 0, 0), 2, 0, 0);
}

TEST(AdjointOf, IsNothingForOthers) {
  EXPECT_FALSE(adjoint(false, 3, 1, 1, 2).has_value());
  EXPECT_FALSE(adjoint(false, 3, 3, 1).has_value()) << "a border that is wider than the kernel";
  EXPECT_FALSE(adjoint(true, 1, 0, 2).has_value()) << "pixels that no tap reaches";
}

TEST(WantedParts, LeavesOutWhatChangesNothing) {
  ConvolutionProblem p = sample();
  EXPECT_EQ(wanted_parts(p), 0U);
  p.bias = p.silu = true;
  EXPECT_EQ(wanted_parts(p), kPartBias | kPartSilu);
  p.scale = 0.5F;
  p.residual = true;
  EXPECT_EQ(wanted_parts(p), 15U);
}

TEST(EngineChoice, RoundTripsAsText) {
  for (const EngineChoice& choice : {EngineChoice{17, {}}, EngineChoice{0, {{2, 13}, {24, 0}}}}) {
    EXPECT_EQ(parse_engine_choice(to_text(choice)), choice) << to_text(choice);
  }
}

TEST(EngineChoice, RefusesOtherText) {
  std::string endless = "1:1=1";
  for (int i = 0; i < 100; ++i) endless += ",1=1";
  for (const std::string& text : {std::string(), std::string("17"), std::string("x:"), std::string("-1:"),
                                  std::string("1:2"), std::string("1:2=3,"), std::string("1:2=3;4=5"),
                                  std::string("1:2=99999999999"), std::string("1: 2=3"), endless}) {
    EXPECT_EQ(parse_engine_choice(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace dpm::cuda
