// One problem: the kernels that compute it, compared with our own and timed.
#pragma once

#include <functional>
#include <optional>

#include "cuda/products/convolution_operands.h"
#include "cuda/products/products.h"
#include "output_comparison.h"
#include "trial_row.h"

namespace dpm::cuda {

/// All of them get the same random operands. A kernel that fails is a row that says why; CardFailure is thrown.
class ConvolutionTrial {
 public:
  /// Throws Error(kOutOfMemory).
  ConvolutionTrial(const Stream& stream, const ConvolutionProblem& problem);

  /// Our own kernel for every shape, which the others are compared with: the first to be run. Throws where it fails.
  TrialRow own();
  /// That for small maps, if it takes the problem.
  std::optional<TrialRow> small();
  /// A plan, and the pass over what it leaves.
  TrialRow candidate(const NamedPlan& named);

 private:
  using Queue = std::function<void(int run)>;

  /// One run, into an output where nothing was.
  void run_once(const Queue& queue);
  /// Fills in whether it is right and what it takes, or why neither is known.
  void try_kernel(const Queue& queue, TrialRow* row);
  [[nodiscard]] double seconds(const Queue& queue) const;

  const Stream& stream_;
  ConvolutionProblem problem_;
  ConvolutionOperands operands_;
  DeviceMemory expected_;
  OutputComparison comparison_;
};

}  // namespace dpm::cuda
