// Random operands for trials of a convolution's plans.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/products/products.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Returns the bytes of a map of the problem's batch and type.
std::size_t map_bytes(const ConvolutionProblem& problem, int height, int width, std::int64_t pixel_stride);
/// Returns the bytes of the output, including those between its pixels.
std::size_t output_bytes(const ConvolutionProblem& problem);

/// The operands of a network's runs: random numbers, and other weights for every run, more in total than a GPU's cache
/// holds, because those of a network come from memory.
class ConvolutionOperands {
 public:
  /// Makes the operands. Inputs, biases and residuals are between -1 and 1, and so are most of the convolution's sums:
  /// no part of the result is small beside the others. The numbers are the same every time. Throws Error(kOutOfMemory)
  /// when the memory cannot be allocated.
  ConvolutionOperands(const Stream& stream, const ConvolutionProblem& problem);

  /// Returns the number of runs that have weights of their own.
  [[nodiscard]] int runs() const { return runs_; }
  /// Returns the buffers of run `run`; operands that the problem does not have are null. Both orders of the weights
  /// have the same random numbers, so a comparison of their results has to reverse one of them.
  [[nodiscard]] ConvolutionBuffers buffers(int run, const DeviceMemory& workspace) const;
  /// Returns the bytes of `out`, which all runs share.
  [[nodiscard]] const DeviceMemory& output() const { return out_; }
  [[nodiscard]] const DeviceMemory& packed() const { return packed_; }
  /// Allocates more memory, for the lifetime of these operands.
  [[nodiscard]] DeviceMemory allocate(std::size_t bytes) { return {count_, bytes}; }

 private:
  MemoryCount count_;
  std::size_t weight_bytes_;
  int runs_;
  DeviceMemory x_, w_, bias_, residual_, out_, packed_;
};

}  // namespace dpm::cuda
