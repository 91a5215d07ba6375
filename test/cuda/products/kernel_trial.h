// Trial of kernels that compute the same result: they are compared with one of them and timed.
#pragma once

#include <functional>
#include <vector>

#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"
#include "output_comparison.h"
#include "trial_row.h"

namespace dpm::cuda {

class KernelTrial {
 public:
  /// Queues one run, whose operands may differ from those of run 0.
  using Queue = std::function<void(int run)>;

  /// Makes a trial. All kernels write `output`, some of them write others of `written` before; at most `runs` follow
  /// each other. The referenced objects must outlive the trial.
  KernelTrial(const Stream& stream, const OutputLayout& layout, const DeviceMemory& output,
              std::vector<const DeviceMemory*> written, int runs);

  /// Returns the seconds of the first kernel, with which the others are compared. Throws where it fails.
  double first(const Queue& queue);
  /// Sets whether the kernel is right and its seconds, or the reason why neither is known. Throws CardFailure.
  void next(const Queue& queue, TrialRow* row);

 private:
  /// Runs once, into cleared outputs.
  void run_once(const Queue& queue);
  [[nodiscard]] double seconds(const Queue& queue) const;

  const Stream& stream_;
  OutputLayout layout_;
  const DeviceMemory& output_;
  std::vector<const DeviceMemory*> written_;
  int runs_;
  MemoryCount count_;
  DeviceMemory expected_;
  OutputComparison comparison_;
};

}  // namespace dpm::cuda
