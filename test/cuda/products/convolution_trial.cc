#include "convolution_trial.h"

#include "cuda/runtime/check.h"
#include "own_kernels.h"

namespace dpm::cuda {
namespace {

const char* kind_name(NamedPlan::Kind kind) {
  switch (kind) {
    case NamedPlan::Kind::kJoined:
      return "joined";
    case NamedPlan::Kind::kJoinedFallback:
      return "joined fallback";
    case NamedPlan::Kind::kBare:
      break;
  }
  return "bare";
}

OutputLayout layout_of(const ConvolutionProblem& p) {
  return {std::int64_t{p.batch} * p.out_height * p.out_width, p.out_channels, p.out_pixel_stride, p.dtype, p.tf32};
}

}  // namespace

ConvolutionTrial::ConvolutionTrial(const Stream& stream, const ConvolutionProblem& problem)
    : stream_(stream),
      problem_(problem),
      operands_(stream, problem),
      trial_(stream, layout_of(problem), operands_.output(), {&operands_.packed()}, operands_.runs()) {}

TrialRow ConvolutionTrial::own() {
  const DeviceMemory none;
  TrialRow row{.kind = "own"};
  row.seconds = trial_.first([&](int run) { run_own(problem_, operands_.buffers(run, none), stream_.get()); });
  return row;
}

std::optional<TrialRow> ConvolutionTrial::small() {
  if (!takes_small(problem_, operands_.buffers(0, {}))) return std::nullopt;
  TrialRow row{.kind = "own small"};
  row.workspace_bytes = static_cast<std::int64_t>(small_workspace_bytes(problem_));
  const DeviceMemory workspace = operands_.allocate(small_workspace_bytes(problem_));
  const DeviceMemory counters = operands_.allocate(small_counter_bytes(problem_));
  check_cuda(cudaMemsetAsync(counters.data(), 0, counters.bytes(), stream_.get()), "clearing counters");
  trial_.next(
      [&](int run) { run_small(problem_, operands_.buffers(run, workspace), counters.as<unsigned>(), stream_.get()); },
      &row);
  return row;
}

std::size_t ConvolutionTrial::weight_bytes() const {
  const ConvolutionBuffers first = operands_.buffers(0, {});
  const ConvolutionBuffers second = operands_.buffers(1, {});
  return static_cast<std::size_t>(static_cast<const unsigned char*>(second.w) -
                                  static_cast<const unsigned char*>(first.w));
}

void ConvolutionTrial::make_adjoint() {
  if (adjoint_.data() != nullptr) return;
  adjoint_ = operands_.allocate(static_cast<std::size_t>(operands_.runs()) * weight_bytes());
  for (int run = 0; run < operands_.runs(); ++run) {
    unsigned char* own = adjoint_.as<unsigned char>() + static_cast<std::size_t>(run) * weight_bytes();
    cuda::make_adjoint(problem_, operands_.buffers(run, {}).w, own, stream_.get());
  }
}

ConvolutionBuffers ConvolutionTrial::buffers(int run, const DeviceMemory& workspace) const {
  ConvolutionBuffers buffers = operands_.buffers(run, workspace);
  if (adjoint_.data() != nullptr) {
    buffers.adjoint_w = adjoint_.as<unsigned char>() + static_cast<std::size_t>(run) * weight_bytes();
  }
  return buffers;
}

TrialRow ConvolutionTrial::candidate(const NamedPlan& named) {
  const ConvolutionPlan& plan = *named.plan;
  TrialRow row{.kind = kind_name(named.kind), .candidate = named.text};
  row.parts_left = wanted_parts(problem_) & ~plan.result().parts;
  row.packed = plan.result().packed;
  row.workspace_bytes = plan.workspace_bytes();
  if (plan.result().data_gradient) make_adjoint();
  DeviceMemory workspace;
  trial_.next(
      [&](int run) {
        if (workspace.data() == nullptr) workspace = operands_.allocate(static_cast<std::size_t>(row.workspace_bytes));
        const ConvolutionBuffers operands = buffers(run, workspace);
        plan.run(operands, stream_.get());
        run_rest(problem_, operands, plan.result(), stream_.get());
      },
      &row);
  return row;
}

}  // namespace dpm::cuda
