// Switches that turn parts of the device off or make them print, to find faults on a GPU without another build.
#pragma once

#include <optional>

namespace dpm::cuda {

struct Switches {
  /// $DPM_CUDNN=off: our own kernels do everything.
  bool cudnn = true;
  /// $DPM_CUDNN_ATTENTION=off: our own kernels compute attention.
  bool cudnn_attention = true;
  /// $DPM_CUDNN_PARTS=N: the parts (a sum of ConvolutionPart) that cuDNN joins to a convolution wherever it can.
  std::optional<unsigned> cudnn_parts;
  /// $DPM_CUDNN_PRINT=1: every plan is printed to stderr when it is made.
  bool print_plans = false;
  /// $DPM_CUDA_SMALL=off: convolutions of small maps are computed like those of large ones.
  bool small_convolutions = true;
  /// $DPM_CUDA_COMPLETE=off: a separate pass, instead of the norm, finishes a convolution's sum.
  bool completions = true;
  /// $DPM_CUDA_PREDICT=off: the last convolution is computed, and rounded, as any other is.
  bool predictions = true;
  /// $DPM_CUDA_GRAPHS=off: nothing is captured, all work is queued piece by piece.
  bool graphs = true;
  /// $DPM_CUDA_SYNC=1: every layer is waited for, so that an error names it. Nothing is captured.
  bool synchronise = false;
};

/// Reads the switches from the environment. Throws Error(kArgument) for an unknown value.
Switches read_switches();

}  // namespace dpm::cuda
