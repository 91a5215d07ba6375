#include "cuda/dnn/convolution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

ConvolutionProblem shaped(int in_channels, int out_channels, int size, int kernel, int stride, DType dtype) {
  ConvolutionProblem p;
  p.batch = 4;
  p.in_channels = in_channels;
  p.in_pixel_stride = in_channels;
  p.in_height = p.in_width = size;
  p.out_channels = out_channels;
  p.out_pixel_stride = p.residual_pixel_stride = out_channels;
  p.kernel = kernel;
  p.stride = stride;
  // The padding centres the kernel below stride 2; at stride 2 it is below and to the right only.
  p.pad_before = stride == 1 ? kernel / 2 : 0;
  p.pad_after = kernel / 2;
  p.out_height = p.out_width = (size + p.pad_before + p.pad_after - kernel) / stride + 1;
  p.dtype = dtype;
  p.tf32 = dtype == DType::kFloat32;
  return p;
}

std::vector<ConvolutionProblem> network_shapes(DType dtype) {
  return {shaped(128, 128, 32, 3, 1, dtype), shaped(256, 128, 16, 1, 1, dtype), shaped(128, 128, 32, 3, 2, dtype),
          shaped(3, 128, 32, 3, 1, dtype),   shaped(128, 3, 32, 3, 1, dtype),   shaped(512, 256, 8, 3, 1, dtype),
          shaped(256, 256, 4, 3, 1, dtype)};
}

void want(ConvolutionProblem* problem, unsigned parts) {
  problem->bias = (parts & kPartBias) != 0;
  problem->residual = (parts & kPartResidual) != 0;
  problem->scale = (parts & kPartScale) != 0 ? 0.70710678F : 1.0F;
  problem->silu = (parts & kPartSilu) != 0;
}

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

using RealConvolutionGraph = RealCudnn;
using RealConvolution = RealCudnnForCard;

TEST_F(RealConvolutionGraph, FinishesWithoutHandleForEveryShapeAndPart) {
  for (const DType dtype : kTypes) {
    for (ConvolutionProblem problem : network_shapes(dtype)) {
      for (unsigned parts = 0; parts < 16; ++parts) {
        want(&problem, parts);
        EXPECT_NO_THROW(make_convolution_graph(library(), problem, parts, {})) << problem_key(problem);
      }
    }
  }
}

TEST_F(RealConvolutionGraph, FinishesForImagesInsideWiderOnes) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  problem.in_pixel_stride = 256;
  problem.out_pixel_stride = 384;
  problem.residual_pixel_stride = 192;
  want(&problem, 15);
  EXPECT_NO_THROW(make_convolution_graph(library(), problem, 15, {}));
}

TEST_F(RealConvolutionGraph, AWrongShapeIsAnErrorThatNamesTheObject) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  problem.out_height = 31;
  try {
    make_convolution_graph(library(), problem, 0, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("convolution operation: CUDNN_STATUS_BAD_PARAM"), std::string::npos)
        << error.what();
  }
}

std::vector<ConvolutionCandidate> candidates(const RealCudnnForCard& test, const ConvolutionProblem& problem,
                                             CandidateOptions options = {}) {
  options.target = test.target();
  return find_candidates(test.library(), problem, options);
}

/// Makes the convolution by the rule.
Convolution by_rule(const RealCudnnForCard& test, const ConvolutionProblem& problem) {
  return {test.library(), problem, candidates(test, problem)};
}

TEST_F(RealConvolution, IsBareAndCompilesNothingForEveryShape) {
  forget_kernel();
  for (const DType dtype : kTypes) {
    for (const bool tf32 : {false, true}) {
      if (tf32 && dtype != DType::kFloat32) continue;
      for (ConvolutionProblem problem : network_shapes(dtype)) {
        problem.tf32 = tf32;
        for (const unsigned parts : {0U, 15U}) {
          want(&problem, parts);
          const Convolution convolution = by_rule(*this, problem);
          EXPECT_EQ(convolution.result().parts, 0U) << problem_key(problem);
          EXPECT_FALSE(convolution.result().packed);
          EXPECT_GE(convolution.workspace_bytes(), 0);
        }
      }
    }
  }
  EXPECT_EQ(last_kernel(), "");
}

TEST_F(RealConvolution, IsAHopperKernelInSixteenBits) {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    const auto found = candidates(*this, shaped(128, 128, 32, 3, 1, dtype));
    EXPECT_TRUE(is_hopper(found.front().plan.choice)) << to_text(found.front());
  }
}

TEST_F(RealConvolution, KnowsWhichEnginesCompileHopperKernels) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
  want(&problem, 15);
  const Descriptor graph = make_convolution_graph(library(), problem, 15, target());
  for (const int capability : {80, 90}) {
    PlanTarget card = target();
    card.capability = capability;
    forget_kernel();
    const std::vector<Plan> plans = find_plans(library(), graph, card, {}, 1);
    ASSERT_EQ(plans.size(), 1U);
    const bool compiles_hopper = last_kernel().find("sm90") != std::string::npos;
    EXPECT_EQ(is_hopper(plans.front().choice), compiles_hopper) << last_kernel();
    EXPECT_TRUE(compiles_hopper || capability != 90) << last_kernel();
  }
}

TEST_F(RealConvolution, WritesImagesInsideWiderOnesPacked) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
  problem.batch = 128;
  problem.out_pixel_stride = 384;
  problem.residual_pixel_stride = 192;
  want(&problem, 15);
  const Convolution convolution = by_rule(*this, problem);
  EXPECT_TRUE(convolution.result().packed);
  EXPECT_LT(convolution.workspace_bytes(), 1 << 20);
  EXPECT_TRUE(convolution.choice().starts_with("0p/")) << convolution.choice();
}

/// Returns the data gradient of a convolution of stride 2.
ConvolutionProblem strided_gradient() {
  ConvolutionProblem p = shaped(128, 64, 16, 3, 1, DType::kBFloat16);
  p.zero_upsample = true;
  p.out_height = p.out_width = 32;
  p.pad_before = 2;
  p.pad_after = 0;
  return p;
}

TEST_F(RealConvolution, OfZerosBetweenElementsIsADataGradient) {
  ConvolutionProblem problem = strided_gradient();
  want(&problem, 15);
  forget_kernel();
  const auto found = candidates(*this, problem, {.target = {}, .all = true});
  EXPECT_GT(found.size(), 1U);
  EXPECT_LE(found.size(), 8U);
  for (const ConvolutionCandidate& candidate : found) {
    EXPECT_TRUE(candidate.data_gradient);
    EXPECT_EQ(candidate.parts, 0U) << "what follows it is left";
    EXPECT_FALSE(candidate.packed);
  }
  EXPECT_EQ(last_kernel(), "");
  EXPECT_TRUE(is_hopper(found.front().plan.choice)) << to_text(found.front());
  EXPECT_TRUE(by_rule(*this, problem).result().data_gradient);
  // Parts are joined to convolutions, but not to data gradients.
  const auto joined = candidates(*this, problem, {.target = {}, .joined = 15U});
  EXPECT_TRUE(joined.front().data_gradient);
  EXPECT_EQ(joined.front().parts, 0U);
  problem.out_pixel_stride = 256;
  const Convolution packed = by_rule(*this, problem);
  EXPECT_TRUE(packed.result().packed);
  EXPECT_TRUE(packed.choice().starts_with("0pg/")) << packed.choice();
}

TEST_F(RealConvolution, RemembersDataGradientsApart) {
  const ConvolutionProblem gradient = strided_gradient();
  const std::string usual = by_rule(*this, gradient).choice();
  ASSERT_TRUE(usual.starts_with("0g/")) << usual;
  const auto all = candidates(*this, gradient, {.target = {}, .all = true});
  const std::string last = to_text(all.back());
  ASSERT_NE(last, usual);
  const auto again = candidates(*this, gradient, {.target = {}, .remembered = last});
  EXPECT_EQ(to_text(again.front()), last);
  EXPECT_TRUE(again.front().data_gradient);
  const ConvolutionProblem forward = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
  const std::string bare = by_rule(*this, forward).choice();
  // The remembered choice of the other kind is ignored.
  EXPECT_EQ(to_text(candidates(*this, gradient, {.target = {}, .remembered = bare}).front()), usual);
  EXPECT_EQ(to_text(candidates(*this, forward, {.target = {}, .remembered = usual}).front()), bare);
}

TEST_F(RealConvolution, OfADataGradientReadsItsOwnWeights) {
  ConvolutionProblem problem = strided_gradient();
  alignas(16) char memory[32];
  const ConvolutionBuffers forward{.x = memory, .w = memory, .out = memory, .workspace = memory};
  try {
    by_rule(*this, problem).run(nullptr, forward);
    FAIL() << "ran with the weights of the forward order alone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kArgument) << error.what();
  }
}

TEST_F(RealConvolutionGraph, OfADataGradientWantsAConvolutionThatHasOne) {
  ConvolutionProblem problem = strided_gradient();
  EXPECT_NO_THROW(make_data_gradient_graph(library(), problem, {}));
  problem.stride = 2;
  problem.out_height = problem.out_width = 16;
  EXPECT_THROW(make_data_gradient_graph(library(), problem, {}), Error);
}

TEST_F(RealConvolution, JoinsWhatItIsToldTo) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  want(&problem, 15);
  const auto joined = [&](unsigned allowed) {
    return candidates(*this, problem, {.target = {}, .joined = allowed}).front().parts;
  };
  EXPECT_EQ(joined(0), 0U);
  EXPECT_EQ(joined(15), 15U);
  // The residual comes before the scale, so the scale cannot be joined without it.
  EXPECT_EQ(joined(kPartBias | kPartScale), unsigned{kPartBias});
}

TEST_F(RealConvolution, MeasuresBareAndJoinedPlans) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
  want(&problem, kPartBias | kPartResidual);
  problem.out_pixel_stride = 256;
  const auto found = candidates(*this, problem, {.target = {}, .all = true});
  const auto count = [&](unsigned parts, bool packed) {
    return std::count_if(found.begin(), found.end(), [&](const ConvolutionCandidate& candidate) {
      return candidate.parts == parts && candidate.packed == packed;
    });
  };
  EXPECT_EQ(count(0, true), 8);
  EXPECT_EQ(count(kPartBias | kPartResidual, false), 3);
  EXPECT_EQ(found.size(), 11U);
  EXPECT_EQ(found.front().parts, 0U);
  EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const ConvolutionCandidate& candidate) {
    return candidate.parts != 0 && !candidate.plan.is_fallback;
  })) << "what the heuristics join";
}

TEST_F(RealConvolution, ExactFloat32DoesNotRoundItsOperands) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat32);
  problem.tf32 = false;
  const Convolution exact = by_rule(*this, problem);
  problem.tf32 = true;
  const Convolution rounded = by_rule(*this, problem);
  EXPECT_NE(exact.choice(), rounded.choice());
  problem.tf32 = false;
  const auto again = candidates(*this, problem, {.target = {}, .remembered = rounded.choice()});
  EXPECT_EQ(to_text(again.front()), exact.choice()) << "the remembered engine rounds its inputs";
}

TEST_F(RealConvolution, KeepsTheWorkspaceLimit) {
  const ConvolutionProblem problem = shaped(256, 256, 16, 3, 1, DType::kFloat16);
  for (const auto& candidate : candidates(*this, problem, {.target = {}, .workspace_limit = 0, .all = true})) {
    EXPECT_EQ(candidate.plan.workspace_bytes, 0);
  }
}

TEST_F(RealConvolution, KeepsTheFastestPlanAndFindsItAgain) {
  const ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  std::vector<std::string> timed;
  const auto timer = [&](const Convolution& convolution) {
    timed.push_back(convolution.choice());
    // The first plan fails, the third is the fastest.
    if (timed.size() == 1) throw Error(ErrorCode::kDevice, "does not run");
    return timed.size() == 3 ? 1e-6 : 2e-6;
  };
  std::vector<MeasuredCandidate> measured;
  const Convolution tuned(library(), problem, candidates(*this, problem, {.target = {}, .all = true}), timer,
                          &measured);
  ASSERT_EQ(timed.size(), 8U);
  EXPECT_EQ(tuned.choice(), timed[2]);
  ASSERT_EQ(measured.size(), timed.size());
  EXPECT_EQ(to_text(measured[0]), timed[0] + "@-");
  EXPECT_EQ(to_text(measured[2]), timed[2] + "@1.0");
  const auto again = candidates(*this, problem, {.target = {}, .remembered = tuned.choice(), .all = true});
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(to_text(again.front()), tuned.choice());
  EXPECT_EQ(again.front().plan.workspace_bytes, tuned.workspace_bytes());
}

TEST_F(RealConvolution, IsRefusedWhenNoneOfSeveralPlansRuns) {
  const ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const auto found = [&] { return candidates(*this, problem, {.target = {}, .all = true}); };
  const auto failing = [](ErrorCode code) {
    return [code](const Convolution&) -> double { throw Error(code, "does not run"); };
  };
  EXPECT_THROW(Convolution(library(), problem, found(), failing(ErrorCode::kDevice)), Error);
  // The first plan is taken where there is no memory for a trial.
  EXPECT_EQ(Convolution(library(), problem, found(), failing(ErrorCode::kOutOfMemory)).choice(),
            to_text(found().front()));
}

TEST_F(RealConvolution, IgnoresAUselessMemory) {
  const ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const std::string usual = by_rule(*this, problem).choice();
  for (const std::string text : {"x", "0/", "0/99999:", "0/1:9999=1", "15/1:", "/1:", "0/0:0=0,0=0", "0p/0:"}) {
    EXPECT_EQ(to_text(candidates(*this, problem, {.target = {}, .remembered = text}).front()), usual) << text;
  }
}

TEST_F(RealConvolution, RemembersPackedOutputsOfWiderImagesAlone) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const std::string bare = by_rule(*this, problem).choice();
  ASSERT_TRUE(bare.starts_with("0/"));
  const std::string packed = "0p" + bare.substr(1);
  problem.out_pixel_stride = 256;
  EXPECT_EQ(to_text(candidates(*this, problem, {.target = {}, .remembered = packed}).front()), packed);
}

TEST_F(RealConvolution, IsFoundOnSeveralThreadsAtOnce) {
  const std::vector<ConvolutionProblem> problems = network_shapes(DType::kBFloat16);
  std::vector<std::string> alone;
  for (const ConvolutionProblem& problem : problems) alone.push_back(by_rule(*this, problem).choice());
  std::vector<std::string> together(problems.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < problems.size(); ++i) {
      threads.emplace_back([&, i] { together[i] = by_rule(*this, problems[i]).choice(); });
    }
  }
  EXPECT_EQ(together, alone);
}

TEST_F(RealConvolution, RefusesBadAddressesBeforeAnythingRuns) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const Convolution convolution = by_rule(*this, problem);
  EXPECT_THROW(convolution.run(nullptr, {}), Error);
  alignas(16) char memory[32];
  EXPECT_THROW(convolution.run(nullptr, {.x = memory + 2, .w = memory, .out = memory}), Error);
  problem.out_pixel_stride = 256;
  EXPECT_THROW(by_rule(*this, problem).run(nullptr, {.x = memory, .w = memory, .out = memory, .workspace = memory}),
               Error)
      << "without a place for the packed output";
}

}  // namespace
}  // namespace dpm::cuda
