#include "convolution_trial.h"

#include "cuda/runtime/check.h"
#include "cuda/runtime/replay.h"
#include "own_kernels.h"

namespace dpm::cuda {
namespace {

/// Not a number in any type.
constexpr int kNothing = 0xFF;

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

}  // namespace

ConvolutionTrial::ConvolutionTrial(const Stream& stream, const ConvolutionProblem& problem)
    : stream_(stream),
      problem_(problem),
      operands_(stream, problem),
      expected_(operands_.allocate(output_bytes(problem))),
      comparison_(stream, problem) {}

TrialRow ConvolutionTrial::own() {
  const DeviceMemory none;
  const Queue queue = [&](int run) { run_own(problem_, operands_.buffers(run, none), stream_.get()); };
  run_once(queue);
  check_cuda(cudaMemcpyAsync(expected_.data(), operands_.output().data(), expected_.bytes(), cudaMemcpyDeviceToDevice,
                             stream_.get()),
             "keeping our own kernel's output");
  TrialRow row{.kind = "own"};
  row.seconds = seconds(queue);
  return row;
}

std::optional<TrialRow> ConvolutionTrial::small() {
  if (!takes_small(problem_, operands_.buffers(0, {}))) return std::nullopt;
  TrialRow row{.kind = "own small"};
  row.workspace_bytes = static_cast<std::int64_t>(small_workspace_bytes(problem_));
  const DeviceMemory workspace = operands_.allocate(small_workspace_bytes(problem_));
  const DeviceMemory counters = operands_.allocate(small_counter_bytes(problem_));
  check_cuda(cudaMemsetAsync(counters.data(), 0, counters.bytes(), stream_.get()), "clearing counters");
  try_kernel(
      [&](int run) { run_small(problem_, operands_.buffers(run, workspace), counters.as<unsigned>(), stream_.get()); },
      &row);
  return row;
}

TrialRow ConvolutionTrial::candidate(const NamedPlan& named) {
  const ConvolutionPlan& plan = *named.plan;
  TrialRow row{.kind = kind_name(named.kind), .candidate = named.text};
  row.parts_left = wanted_parts(problem_) & ~plan.result().parts;
  row.packed = plan.result().packed;
  row.workspace_bytes = plan.workspace_bytes();
  DeviceMemory workspace;
  try_kernel(
      [&](int run) {
        if (workspace.data() == nullptr) workspace = operands_.allocate(static_cast<std::size_t>(row.workspace_bytes));
        const ConvolutionBuffers buffers = operands_.buffers(run, workspace);
        plan.run(buffers, stream_.get());
        run_rest(problem_, buffers, plan.result(), stream_.get());
      },
      &row);
  return row;
}

void ConvolutionTrial::run_once(const Queue& queue) {
  for (const DeviceMemory* memory : {&operands_.output(), &operands_.packed()}) {
    check_cuda(cudaMemsetAsync(memory->data(), kNothing, memory->bytes(), stream_.get()), "clearing an output");
  }
  queue(0);
  stream_.wait();
}

void ConvolutionTrial::try_kernel(const Queue& queue, TrialRow* row) {
  try {
    run_once(queue);
    const Difference difference = comparison_.compare(operands_.output().data(), expected_.data());
    row->relative_error = difference.relative;
    row->right = is_right(difference, problem_);
    if (difference.spills) row->error = "changes what lies between the pixels of its output";
    row->seconds = seconds(queue);
  } catch (const CardFailure&) {
    throw;
  } catch (const Error& error) {
    row->error = error.what();
  }
}

double ConvolutionTrial::seconds(const Queue& queue) const {
  return replayed_seconds_within(stream_, operands_.runs(), kTrialSeconds, queue);
}

}  // namespace dpm::cuda
