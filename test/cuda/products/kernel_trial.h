// Kernels that compute the same, compared with one of them and timed.
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
  /// Queues one run, of which the operands may be others than those of run 0.
  using Queue = std::function<void(int run)>;

  /// All kernels write `output`, some of them others of `written` before; at most `runs` follow each other. What is
  /// pointed to outlives the trial.
  KernelTrial(const Stream& stream, const OutputLayout& layout, const DeviceMemory& output,
              std::vector<const DeviceMemory*> written, int runs);

  /// Seconds of the kernel that the others are compared with, the first to be run. Throws where it fails.
  double first(const Queue& queue);
  /// Fills in whether it is right and what it takes, or why neither is known. Throws CardFailure.
  void next(const Queue& queue, TrialRow* row);

 private:
  /// One run, into outputs where nothing was.
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
