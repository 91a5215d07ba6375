#include "cuda/dnn/convolution.h"

#include <gtest/gtest.h>

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
  // Below stride 2 the kernel is centred; at 2 the padding is below and to the right only.
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

TEST_F(RealConvolution, JoinsEverythingForEveryShape) {
  for (const DType dtype : kTypes) {
    for (ConvolutionProblem problem : network_shapes(dtype)) {
      for (const unsigned parts : {0U, 15U}) {
        want(&problem, parts);
        const Convolution convolution(library(), problem, {.target = target(), .remembered = {}, .timer = {}});
        EXPECT_EQ(convolution.fused_parts(), parts) << problem_key(problem);
        EXPECT_EQ(convolution.left_parts(), 0U) << problem_key(problem);
        EXPECT_GE(convolution.workspace_bytes(), 0);
      }
    }
  }
}

TEST_F(RealConvolution, TakesImagesInsideWiderOnes) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
  problem.in_pixel_stride = 256;
  problem.out_pixel_stride = 384;
  problem.residual_pixel_stride = 192;
  want(&problem, 15);
  const Convolution convolution(library(), problem, {.target = target(), .remembered = {}, .timer = {}});
  EXPECT_EQ(convolution.left_parts(), 0U);
}

TEST_F(RealConvolution, LeavesPartsThatMayNotBeJoined) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  want(&problem, 15);
  const auto fused = [&](unsigned allowed) {
    return Convolution(library(), problem,
                       {.target = target(), .allowed_parts = allowed, .remembered = {}, .timer = {}})
        .fused_parts();
  };
  EXPECT_EQ(fused(0), 0U);
  EXPECT_EQ(fused(kPartBias | kPartResidual), kPartBias | kPartResidual);
  // The residual comes before the scale, so the scale cannot be joined without it.
  EXPECT_EQ(fused(kPartBias | kPartScale), unsigned{kPartBias});
}

TEST_F(RealConvolution, ExactFloat32HasAPlan) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat32);
  problem.tf32 = false;
  want(&problem, 15);
  const Convolution exact(library(), problem, {.target = target(), .remembered = {}, .timer = {}});
  problem.tf32 = true;
  const Convolution rounded(library(), problem, {.target = target(), .remembered = {}, .timer = {}});
  EXPECT_NE(exact.choice(), rounded.choice());
  problem.tf32 = false;
  const Convolution again(library(), problem, {.target = target(), .remembered = rounded.choice(), .timer = {}});
  EXPECT_EQ(again.choice(), exact.choice()) << "the remembered engine rounds its inputs";
}

TEST_F(RealConvolution, KeepsTheWorkspaceLimit) {
  const ConvolutionProblem problem = shaped(256, 256, 16, 3, 1, DType::kFloat16);
  const Convolution convolution(library(), problem,
                                {.target = target(), .workspace_limit = 0, .remembered = {}, .timer = {}});
  EXPECT_EQ(convolution.workspace_bytes(), 0);
}

TEST_F(RealConvolution, KeepsTheFastestPlanAndFindsItAgain) {
  ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  want(&problem, kPartBias);
  std::vector<std::string> timed;
  const auto timer = [&](const Convolution& convolution) {
    timed.push_back(convolution.choice());
    // The first fails, the third is the fastest.
    if (timed.size() == 1) throw Error(ErrorCode::kDevice, "does not run");
    return timed.size() == 3 ? 1.0 : 2.0;
  };
  const Convolution tuned(library(), problem, {.target = target(), .remembered = {}, .timer = timer});
  ASSERT_GE(timed.size(), 3U);
  EXPECT_LE(timed.size(), 8U);
  EXPECT_EQ(tuned.choice(), timed[2]);
  const auto no_timer = [](const Convolution&) -> double { throw Error(ErrorCode::kInternal, "timed again"); };
  const Convolution again(library(), problem, {.target = target(), .remembered = tuned.choice(), .timer = no_timer});
  EXPECT_EQ(again.choice(), tuned.choice());
  EXPECT_EQ(again.workspace_bytes(), tuned.workspace_bytes());
}

TEST_F(RealConvolution, IgnoresAUselessMemory) {
  const ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const std::string usual =
      Convolution(library(), problem, {.target = target(), .remembered = {}, .timer = {}}).choice();
  for (const std::string text : {"x", "0/", "0/99999:", "0/1:9999=1", "15/1:", "/1:", "0/0:0=0,0=0"}) {
    const Convolution convolution(library(), problem, {.target = target(), .remembered = text, .timer = {}});
    EXPECT_FALSE(convolution.choice().empty()) << text;
  }
  EXPECT_FALSE(usual.empty());
}

TEST_F(RealConvolution, RefusesBadAddressesBeforeAnythingRuns) {
  const ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kFloat16);
  const Convolution convolution(library(), problem, {.target = target(), .remembered = {}, .timer = {}});
  EXPECT_THROW(convolution.run(nullptr, {}), Error);
  alignas(16) char memory[32];
  EXPECT_THROW(convolution.run(nullptr, {.x = memory + 2, .w = memory, .out = memory}), Error);
}

}  // namespace
}  // namespace dpm::cuda
