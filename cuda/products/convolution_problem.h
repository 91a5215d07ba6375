// Complete description of a convolution of the network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/dtype.h"

namespace dpm::cuda {

/// out = act(scale * (conv(x) + bias + residual)).
///
/// Images are NHWC with `*_pixel_stride` elements from one pixel to the next, at least the channels, and no gap
/// between rows or samples. Weights are dense, (out channel, ky, kx, in channel). Images and weights have
/// `dtype`; bias is float32 [out_channels]; sums are float32.
struct ConvolutionProblem {
  int batch = 1;
  int in_channels = 1, in_height = 1, in_width = 1;
  std::int64_t in_pixel_stride = 1;
  int out_channels = 1, out_height = 1, out_width = 1;
  std::int64_t out_pixel_stride = 1;
  /// Stride of the residual, which has the shape of the output; not used without `residual`.
  std::int64_t residual_pixel_stride = 1;
  /// Sizes in pixels, the same in both directions; `pad_before` is above and to the left.
  int kernel = 1, stride = 1, pad_before = 0, pad_after = 0;
  /// Tells whether x is first enlarged twice, with zeros between its elements on both axes; in_height and in_width are
  /// those of x as it is stored.
  bool zero_upsample = false;
  DType dtype = DType::kFloat32;
  /// Tells whether float32 inputs may be rounded to TF32 before they are multiplied.
  bool tf32 = false;
  bool bias = false;
  bool residual = false;
  float scale = 1;
  /// Tells whether the activation is x / (1 + exp(-x)); otherwise there is none.
  bool silu = false;

  bool operator==(const ConvolutionProblem&) const = default;
};

/// Throws Error(kArgument) when a size is not positive, a stride is below the channels, or the output is not the
/// size that follows from input, kernel, stride and padding.
void check_problem(const ConvolutionProblem& problem);

/// Returns a key that is equal exactly for equal problems; it has letters, digits and `.-_` only.
std::string problem_key(const ConvolutionProblem& problem);

/// A convolution from `out` to `x` whose data gradient at `x` is the problem's convolution. The gradient reads the
/// problem's weights transposed: (in channel, ky, kx, out channel) from the last tap to the first.
struct AdjointConvolution {
  int stride = 1, pad_before = 0, pad_after = 0;
};

/// Returns the adjoint; empty for problems with a stride or with wider borders than their kernel's.
std::optional<AdjointConvolution> adjoint_of(const ConvolutionProblem& problem);

/// Parts of the work after the convolution, in the order in which they are computed.
enum ConvolutionPart : unsigned {
  kPartBias = 1,
  kPartResidual = 2,
  kPartScale = 4,
  kPartSilu = 8,
};

/// Returns the parts that `problem` asks for, as a sum of ConvolutionPart.
unsigned wanted_parts(const ConvolutionProblem& problem);

}  // namespace dpm::cuda
