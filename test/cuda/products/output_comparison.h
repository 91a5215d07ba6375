// The difference of a plan's output from the expected one.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Places of the numbers of an output.
struct OutputLayout {
  std::int64_t pixels = 0;  ///< pixels of all samples
  int channels = 0;
  std::int64_t pixel_stride = 0;
  DType dtype = DType::kFloat32;
  bool tf32 = false;

  [[nodiscard]] std::size_t pixel_bytes() const { return static_cast<std::size_t>(pixel_stride) * dtype_size(dtype); }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(pixels) * pixel_bytes(); }
};

struct Difference {
  /// Greatest difference of two elements divided by the largest expected magnitude; NaN where a number is not finite.
  double relative = 0;
  /// Tells whether bytes between the output's pixels have changed.
  bool spills = false;
};

/// Compares outputs of one layout on the host, piece by piece, because the largest have gigabytes.
class OutputComparison {
 public:
  OutputComparison(const Stream& stream, const OutputLayout& layout);
  /// Compares two whole outputs on the GPU, whose work is waited for.
  [[nodiscard]] Difference compare(const void* actual, const void* expected) const;

 private:
  const Stream& stream_;
  OutputLayout layout_;
  std::size_t pixels_at_once_;
  PinnedMemory actual_, expected_;
};

/// Returns the largest difference by rounding: four times the unit of a type whose sums are float32, because a plan may
/// round between the convolution and the parts after it.
double tolerance_of(const OutputLayout& layout);

/// Returns whether a kernel with this difference computes the right result.
bool is_right(const Difference& difference, const OutputLayout& layout);

}  // namespace dpm::cuda
