// What a convolution of the network computes, in full.
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
  /// Not used without `residual`, which has the shape of the output.
  std::int64_t residual_pixel_stride = 1;
  /// Pixels, the same in both directions; `pad_before` is above and to the left.
  int kernel = 1, stride = 1, pad_before = 0, pad_after = 0;
  /// x is enlarged twice first, with zeros between its elements on both axes; in_height and in_width are those of x as
  /// it is stored.
  bool zero_upsample = false;
  DType dtype = DType::kFloat32;
  /// float32 inputs may be rounded to TF32 before they are multiplied.
  bool tf32 = false;
  bool bias = false;
  bool residual = false;
  float scale = 1;
  /// The activation x / (1 + exp(-x)), else none.
  bool silu = false;

  bool operator==(const ConvolutionProblem&) const = default;
};

/// Throws Error(kArgument) when a size is not positive, a stride is below the channels, or the output is not the
/// size that follows from input, kernel, stride and padding.
void check_problem(const ConvolutionProblem& problem);

/// Equal exactly for equal problems; letters, digits and `.-_` only.
std::string problem_key(const ConvolutionProblem& problem);

/// A convolution from `out` to `x`, whose data gradient at `x` a problem is: that reads its weights, which are the
/// problem's the other way round, (in channel, ky, kx, out channel) from the last tap to the first.
struct AdjointConvolution {
  int stride = 1, pad_before = 0, pad_after = 0;
};

/// Nothing for problems with a stride or with wider borders than their kernel's.
std::optional<AdjointConvolution> adjoint_of(const ConvolutionProblem& problem);

/// Parts of the work after the convolution, in the order in which they are computed.
enum ConvolutionPart : unsigned {
  kPartBias = 1,
  kPartResidual = 2,
  kPartScale = 4,
  kPartSilu = 8,
};

/// The parts `problem` asks for, as a sum of ConvolutionPart.
unsigned wanted_parts(const ConvolutionProblem& problem);

}  // namespace dpm::cuda
