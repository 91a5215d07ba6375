// One convolution: the kernels that compute it.
#pragma once

#include <optional>

#include "cuda/products/convolution_operands.h"
#include "cuda/products/products.h"
#include "kernel_trial.h"

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
  void make_adjoint();
  [[nodiscard]] std::size_t weight_bytes() const;
  [[nodiscard]] ConvolutionBuffers buffers(int run, const DeviceMemory& workspace) const;

  const Stream& stream_;
  ConvolutionProblem problem_;
  ConvolutionOperands operands_;
  /// The weights of all runs the other way round, once a plan reads them so.
  DeviceMemory adjoint_;
  KernelTrial trial_;
};

}  // namespace dpm::cuda
