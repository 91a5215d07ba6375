// How far what a plan has written is from what it should have.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/stream.h"

namespace dpm::cuda {

/// Where the numbers of an output lie.
struct OutputLayout {
  std::int64_t pixels = 0;  ///< of all samples
  int channels = 0;
  std::int64_t pixel_stride = 0;
  DType dtype = DType::kFloat32;
  bool tf32 = false;

  [[nodiscard]] std::size_t pixel_bytes() const { return static_cast<std::size_t>(pixel_stride) * dtype_size(dtype); }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(pixels) * pixel_bytes(); }
};

struct Difference {
  /// The greatest difference of two elements over the largest magnitude expected; NaN where a number is not finite.
  double relative = 0;
  /// What lies between the output's pixels has changed.
  bool spills = false;
};

/// Compares outputs of one layout on the host, piece by piece: the largest have gigabytes.
class OutputComparison {
 public:
  OutputComparison(const Stream& stream, const OutputLayout& layout);
  /// Both are whole outputs on the card, whose work is waited for.
  [[nodiscard]] Difference compare(const void* actual, const void* expected) const;

 private:
  const Stream& stream_;
  OutputLayout layout_;
  std::size_t pixels_at_once_;
  PinnedMemory actual_, expected_;
};

/// What differs by this much is no rounding: four times the unit of a type whose sums are float32, since a plan may
/// round between the convolution and what follows it.
double tolerance_of(const OutputLayout& layout);

/// Whether it computes what it should.
bool is_right(const Difference& difference, const OutputLayout& layout);

}  // namespace dpm::cuda
