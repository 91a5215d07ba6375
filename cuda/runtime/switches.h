// Turns parts of the device off or makes them talk, to find out on a card what is wrong without another build.
#pragma once

#include <optional>

namespace dpm::cuda {

struct Switches {
  /// $DPM_CUDNN=off: our own kernels do everything.
  bool cudnn = true;
  /// $DPM_CUDNN_ATTENTION=off: attention is that of our own kernels.
  bool cudnn_attention = true;
  /// $DPM_CUDNN_PARTS=N: the parts (a sum of ConvolutionPart) that cuDNN joins to a convolution wherever it can.
  std::optional<unsigned> cudnn_parts;
  /// $DPM_CUDNN_PRINT=1: every plan is printed to stderr as it is made.
  bool print_plans = false;
  /// $DPM_CUDA_SMALL=off: convolutions of small maps are those of large ones, too.
  bool small_convolutions = true;
  /// $DPM_CUDA_COMPLETE=off: no norm finishes what a convolution has left, a pass of its own does.
  bool completions = true;
  /// $DPM_CUDA_PREDICT=off: the last convolution is computed, and rounded, as any other is.
  bool predictions = true;
  /// $DPM_CUDA_GRAPHS=off: nothing is captured, all work is queued piece by piece.
  bool graphs = true;
  /// $DPM_CUDA_SYNC=1: every layer is waited for, and an error names it. Nothing is captured.
  bool synchronise = false;
};

/// As the environment says now. Throws Error(kArgument) for a value that means nothing.
Switches read_switches();

}  // namespace dpm::cuda
