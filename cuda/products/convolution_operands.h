// Random numbers to try the plans of a convolution on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/products/products.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Bytes of a map of the problem's batch and type.
std::size_t map_bytes(const ConvolutionProblem& problem, int height, int width, std::int64_t pixel_stride);
/// Those of the output, with what lies between its pixels.
std::size_t output_bytes(const ConvolutionProblem& problem);

/// The operands of a network's runs: random numbers, and other weights for every run, more of them than a card's cache
/// holds, since those of a network come from memory.
class ConvolutionOperands {
 public:
  /// Inputs, biases and residuals lie between -1 and 1, and so does by far the most of what the convolution makes of
  /// them: no part of the result is small beside the others. The numbers are the same every time. Throws
  /// Error(kOutOfMemory) when the memory is not to be had.
  ConvolutionOperands(const Stream& stream, const ConvolutionProblem& problem);

  /// How many runs have weights of their own.
  [[nodiscard]] int runs() const { return runs_; }
  /// Those of run `run`; what the problem does not have is null. Either order of the weights is of the same random
  /// numbers: whoever compares results of both turns them round.
  [[nodiscard]] ConvolutionBuffers buffers(int run, const DeviceMemory& workspace) const;
  /// The bytes of `out`, that of all runs.
  [[nodiscard]] const DeviceMemory& output() const { return out_; }
  [[nodiscard]] const DeviceMemory& packed() const { return packed_; }
  /// More memory, for as long as these operands live.
  [[nodiscard]] DeviceMemory allocate(std::size_t bytes) { return {count_, bytes}; }

 private:
  MemoryCount count_;
  std::size_t weight_bytes_;
  int runs_;
  DeviceMemory x_, w_, bias_, residual_, out_, packed_;
};

}  // namespace dpm::cuda
