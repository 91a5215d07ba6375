#include "kernel_trial.h"

#include <utility>

#include "cuda/runtime/check.h"
#include "cuda/runtime/replay.h"

namespace dpm::cuda {
namespace {

/// Byte of a pattern that is NaN in any type.
constexpr int kNothing = 0xFF;

}  // namespace

KernelTrial::KernelTrial(const Stream& stream, const OutputLayout& layout, const DeviceMemory& output,
                         std::vector<const DeviceMemory*> written, int runs)
    : stream_(stream),
      layout_(layout),
      output_(output),
      written_(std::move(written)),
      runs_(runs),
      expected_(count_, layout.bytes()),
      comparison_(stream, layout) {
  written_.push_back(&output);
}

double KernelTrial::first(const Queue& queue) {
  run_once(queue);
  check_cuda(
      cudaMemcpyAsync(expected_.data(), output_.data(), expected_.bytes(), cudaMemcpyDeviceToDevice, stream_.get()),
      "keeping an output");
  return seconds(queue);
}

void KernelTrial::next(const Queue& queue, TrialRow* row) {
  try {
    run_once(queue);
    const Difference difference = comparison_.compare(output_.data(), expected_.data());
    row->relative_error = difference.relative;
    row->right = is_right(difference, layout_);
    if (difference.spills) row->error = "changes what lies between the pixels of its output";
    row->seconds = seconds(queue);
  } catch (const CardFailure&) {
    throw;
  } catch (const Error& error) {
    row->error = error.what();
  }
}

void KernelTrial::run_once(const Queue& queue) {
  for (const DeviceMemory* memory : written_) {
    check_cuda(cudaMemsetAsync(memory->data(), kNothing, memory->bytes(), stream_.get()), "clearing an output");
  }
  queue(0);
  stream_.wait();
}

double KernelTrial::seconds(const Queue& queue) const {
  return replayed_seconds_within(stream_, runs_, kTrialSeconds, queue);
}

}  // namespace dpm::cuda
