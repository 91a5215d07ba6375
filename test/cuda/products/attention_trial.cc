#include "attention_trial.h"

#include "core/error.h"
#include "cuda/products/random_numbers.h"
#include "own_kernels.h"

namespace dpm::cuda {
namespace {

/// Number of runs, which all have the same operands, because there are no weights.
constexpr int kRuns = 20;

std::size_t bytes_of(const AttentionProblem& p, int tokens, std::int64_t token_stride) {
  return static_cast<std::size_t>(p.batch) * static_cast<std::size_t>(tokens) * static_cast<std::size_t>(token_stride) *
         dtype_size(p.dtype);
}

OutputLayout layout_of(const AttentionProblem& p) {
  return {std::int64_t{p.batch} * p.query_tokens, p.heads * p.width, p.out_token_stride, p.dtype, false};
}

}  // namespace

AttentionTrial::AttentionTrial(const Stream& stream, const AttentionProblem& p)
    : stream_(stream),
      problem_(p),
      q_(count_, bytes_of(p, p.query_tokens, p.q_token_stride)),
      k_(count_, bytes_of(p, p.key_tokens, p.k_token_stride)),
      v_(count_, bytes_of(p, p.key_tokens, p.v_token_stride)),
      out_(count_, bytes_of(p, p.query_tokens, p.out_token_stride)),
      trial_(stream, layout_of(p), out_, {}, kRuns) {
  // Scale of the weights, which are between e^-4 and e^4, as in a network: if they were all alike, the output would be
  // the mean of v for any q.
  constexpr float kSharp = 4;
  fill_randomly(stream, q_, p.dtype, kSharp);
  fill_randomly(stream, k_, p.dtype, 1);
  fill_randomly(stream, v_, p.dtype, 1);
}

TrialRow AttentionTrial::own() {
  TrialRow row{.kind = "own"};
  row.seconds = trial_.first(
      [&](int /*run*/) { run_own(problem_, {q_.data(), k_.data(), v_.data(), out_.data(), nullptr}, stream_.get()); });
  return row;
}

TrialRow AttentionTrial::library(const AttentionPlan& plan) {
  TrialRow row{.kind = "attention"};
  row.workspace_bytes = plan.workspace_bytes();
  DeviceMemory workspace;
  trial_.next(
      [&](int /*run*/) {
        if (workspace.data() == nullptr) workspace = {count_, static_cast<std::size_t>(row.workspace_bytes)};
        plan.run({q_.data(), k_.data(), v_.data(), out_.data(), workspace.data()});
      },
      &row);
  return row;
}

}  // namespace dpm::cuda
