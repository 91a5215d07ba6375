#include "cuda/dnn/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "real_cudnn.h"

namespace dpm::cuda {
namespace {

/// Describes q, k and v side by side in one map.
AttentionProblem packed(int heads, int width, int tokens, DType dtype) {
  AttentionProblem p;
  p.batch = 4;
  p.heads = heads;
  p.width = width;
  p.query_tokens = p.key_tokens = tokens;
  p.q_token_stride = p.k_token_stride = p.v_token_stride = 3LL * heads * width;
  p.out_token_stride = 1LL * heads * width;
  p.dtype = dtype;
  p.scale = 1.0F / std::sqrt(static_cast<float>(width));
  return p;
}

using RealAttention = RealCudnnForCard;

ErrorCode refusal(const CudnnLibrary& library, const AttentionProblem& problem, const PlanTarget& target) {
  try {
    const Attention attention(library, problem, target);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kOk;
}

TEST(AttentionKey, IsAnotherForAnotherProblem) {
  const AttentionProblem problem = packed(4, 64, 256, DType::kFloat16);
  AttentionProblem other = problem;
  other.scale = 1;
  EXPECT_NE(problem_key(problem), problem_key(other));
  EXPECT_EQ(problem_key(problem), problem_key(packed(4, 64, 256, DType::kFloat16)));
}

TEST_F(RealAttention, HasAPlanForUsualWidths) {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const auto& [heads, width, tokens] : {std::tuple{4, 64, 256}, std::tuple{8, 32, 64}, std::tuple{1, 128, 1024},
                                               std::tuple{1, 256, 256}, std::tuple{2, 8, 64}}) {
      const AttentionProblem problem = packed(heads, width, tokens, dtype);
      try {
        EXPECT_GE(Attention(library(), problem, target()).workspace_bytes(), 0);
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
}

TEST_F(RealAttention, RefusesWhatCudnnDoesNotCompute) {
  const AttentionProblem good = packed(4, 64, 256, DType::kFloat16);
  const auto code = [&](auto change) {
    AttentionProblem problem = good;
    change(problem);
    return refusal(library(), problem, target());
  };
  EXPECT_EQ(code([](auto& p) { p.dtype = DType::kFloat32; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& p) { p.width = 60; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& p) { p.q_token_stride += 1; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& p) { p.key_tokens = 0; }), ErrorCode::kArgument);
  EXPECT_EQ(code([](auto& p) { p.out_token_stride = 8; }), ErrorCode::kArgument);
  CudnnLibrary old = library();
  old.version = 91200;
  EXPECT_EQ(refusal(old, good, target()), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace dpm::cuda
