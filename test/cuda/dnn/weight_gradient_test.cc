#include "cuda/dnn/weight_gradient.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "cuda/dnn/convolution_graph.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

ConvolutionProblem shaped(int in_channels, int out_channels, int size, int kernel, int stride, DType dtype) {
  ConvolutionProblem p;
  p.batch = 6;
  p.in_channels = in_channels;
  p.in_pixel_stride = in_channels;
  p.in_height = p.in_width = size;
  p.out_channels = out_channels;
  p.out_pixel_stride = out_channels;
  p.kernel = kernel;
  p.stride = stride;
  p.pad_before = stride == 1 ? kernel / 2 : 0;
  p.pad_after = kernel / 2;
  p.out_height = p.out_width = (size + p.pad_before + p.pad_after - kernel) / stride + 1;
  p.dtype = dtype;
  return p;
}

std::vector<ConvolutionProblem> shapes(DType dtype) {
  return {shaped(128, 128, 32, 3, 1, dtype), shaped(256, 128, 16, 1, 1, dtype), shaped(128, 128, 32, 3, 2, dtype),
          shaped(8, 128, 32, 3, 1, dtype),   shaped(128, 8, 32, 3, 1, dtype),   shaped(256, 256, 4, 3, 1, dtype)};
}

constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

using RealWeightGradientGraph = RealCudnn;
using RealWeightGradient = RealCudnnForCard;

TEST_F(RealWeightGradientGraph, FinishesWithoutHandleForEveryShape) {
  for (const DType dtype : kTypes) {
    for (ConvolutionProblem problem : shapes(dtype)) {
      EXPECT_NO_THROW(make_weight_gradient_graph(library(), problem, {})) << problem_key(problem);
      problem.in_pixel_stride += 64;
      problem.out_pixel_stride += 64;
      EXPECT_NO_THROW(make_weight_gradient_graph(library(), problem, {})) << problem_key(problem);
    }
  }
}

TEST_F(RealWeightGradient, HasAPlanThatCompilesNothingForEveryShape) {
  forget_kernel();
  for (const DType dtype : kTypes) {
    for (const bool tf32 : {false, true}) {
      if (tf32 && dtype != DType::kFloat32) continue;
      for (ConvolutionProblem problem : shapes(dtype)) {
        problem.tf32 = tf32;
        try {
          EXPECT_GE(WeightGradient(library(), problem, target()).workspace_bytes(), 0);
        } catch (const Error& error) {
          ADD_FAILURE() << error.what();
        }
      }
    }
  }
  EXPECT_EQ(last_kernel(), "");
}

TEST_F(RealWeightGradient, RefusesProblemsWithoutAPlan) {
  const auto code = [&](const auto& change) {
    ConvolutionProblem problem = shaped(128, 128, 32, 3, 1, DType::kBFloat16);
    change(problem);
    try {
      const WeightGradient made(library(), problem, target());
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kOk;
  };
  EXPECT_EQ(code([](auto& /*p*/) {}), ErrorCode::kOk);
  EXPECT_EQ(code([](auto& p) { p.out_height = 31; }), ErrorCode::kArgument);
  EXPECT_EQ(code([](auto& p) {
              p.zero_upsample = true;
              p.out_height = p.out_width = 64;
            }),
            ErrorCode::kUnsupported);
}

TEST_F(RealWeightGradient, RefusesAddressesThatItCannotRead) {
  const WeightGradient gradient(library(), shaped(128, 128, 32, 3, 1, DType::kBFloat16), target());
  alignas(16) char memory[32];
  const WeightGradientBuffers good{memory, memory, memory, memory};
  const auto is_refused = [&](const auto& change) {
    WeightGradientBuffers buffers = good;
    change(buffers);
    try {
      gradient.run(nullptr, buffers);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kArgument;
    }
    return false;
  };
  EXPECT_TRUE(is_refused([](auto& buffers) { buffers.x = nullptr; }));
  EXPECT_TRUE(is_refused([](auto& buffers) { buffers.d = nullptr; }));
  EXPECT_TRUE(is_refused([](auto& buffers) { buffers.w = nullptr; }));
  EXPECT_TRUE(is_refused([&](auto& buffers) { buffers.d = memory + 2; }));
}

}  // namespace
}  // namespace dpm::cuda
