// How far what a plan has written is from what it should have.
#pragma once

#include "cuda/products/convolution_problem.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

struct Difference {
  /// The greatest difference of two elements over the largest magnitude expected; NaN where a number is not finite.
  double relative = 0;
  /// What lies between the output's pixels has changed.
  bool spills = false;
};

/// Compares outputs of one problem on the host, piece by piece: the largest have gigabytes.
class OutputComparison {
 public:
  OutputComparison(const Stream& stream, const ConvolutionProblem& problem);
  /// Both are whole outputs on the card, whose work is waited for.
  [[nodiscard]] Difference compare(const void* actual, const void* expected) const;

 private:
  const Stream& stream_;
  ConvolutionProblem problem_;
  std::size_t pixels_at_once_;
  PinnedMemory actual_, expected_;
};

/// What differs by this much is no rounding: four times the unit of a type whose sums are float32, since a plan may
/// round between the convolution and what follows it.
double tolerance_of(const ConvolutionProblem& problem);

/// Whether it computes what it should.
bool is_right(const Difference& difference, const ConvolutionProblem& problem);

}  // namespace dpm::cuda
