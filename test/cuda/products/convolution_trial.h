// Trial of one convolution: the kernels that compute it.
#pragma once

#include <optional>

#include "cuda/products/convolution_operands.h"
#include "cuda/products/products.h"
#include "kernel_trial.h"

namespace dpm::cuda {

/// A trial of a convolution. All kernels get the same random operands. A kernel that fails gives a row with the reason;
/// CardFailure is thrown.
class ConvolutionTrial {
 public:
  /// Makes the operands. Throws Error(kOutOfMemory).
  ConvolutionTrial(const Stream& stream, const ConvolutionProblem& problem);

  /// Runs our own kernel for every shape, which has to be the first; the others are compared with it. Throws where it
  /// fails.
  TrialRow own();
  /// Runs the kernel for small maps, if it takes the problem.
  std::optional<TrialRow> small();
  /// Runs a plan, and the pass over the rest that it leaves.
  TrialRow candidate(const NamedPlan& named);

 private:
  void make_adjoint();
  [[nodiscard]] std::size_t weight_bytes() const;
  [[nodiscard]] ConvolutionBuffers buffers(int run, const DeviceMemory& workspace) const;

  const Stream& stream_;
  ConvolutionProblem problem_;
  ConvolutionOperands operands_;
  /// Transposed weights of all runs, once a plan reads them.
  DeviceMemory adjoint_;
  KernelTrial trial_;
};

}  // namespace dpm::cuda
