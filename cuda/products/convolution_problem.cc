#include "cuda/products/convolution_problem.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "core/error.h"

namespace dpm::cuda {
namespace {

bool fits(int in, int out, const ConvolutionProblem& problem) {
  const std::int64_t zoom = problem.zero_upsample ? 2 : 1;
  const std::int64_t padded = in * zoom + problem.pad_before + problem.pad_after;
  return padded >= problem.kernel && (padded - problem.kernel) / problem.stride + 1 == out;
}

}  // namespace

void check_problem(const ConvolutionProblem& p) {
  const int smallest = std::min(
      {p.batch, p.in_channels, p.in_height, p.in_width, p.out_channels, p.out_height, p.out_width, p.kernel, p.stride});
  require(smallest >= 1, "a size of the convolution is not positive");
  require(p.pad_before >= 0 && p.pad_after >= 0, "the padding of the convolution is negative");
  require(p.in_pixel_stride >= p.in_channels, "the input's pixel stride is below its channels");
  require(p.out_pixel_stride >= p.out_channels, "the output's pixel stride is below its channels");
  require(!p.residual || p.residual_pixel_stride >= p.out_channels,
          "the residual's pixel stride is below its channels");
  require(fits(p.in_height, p.out_height, p) && fits(p.in_width, p.out_width, p),
          "the output size does not follow from the input of the convolution");
}

std::string problem_key(const ConvolutionProblem& p) {
  std::ostringstream key;
  key.imbue(std::locale::classic());
  key << "conv-n" << p.batch << "-i" << p.in_channels << '.' << p.in_height << '.' << p.in_width << '.'
      << p.in_pixel_stride << "-o" << p.out_channels << '.' << p.out_height << '.' << p.out_width << '.'
      << p.out_pixel_stride << '.' << p.residual_pixel_stride << "-k" << p.kernel << '.' << p.stride << '.'
      << p.pad_before << '.' << p.pad_after << (p.zero_upsample ? "z" : "") << "-t" << static_cast<unsigned>(p.dtype)
      << '.' << p.tf32 << "-e" << p.bias << p.residual
      << p.silu
      // The scale's bits are written, because two scales may print alike.
      << '.' << std::hex << std::bit_cast<std::uint32_t>(p.scale);
  return key.str();
}

std::optional<AdjointConvolution> adjoint_of(const ConvolutionProblem& p) {
  if (p.stride != 1) return std::nullopt;
  AdjointConvolution adjoint;
  adjoint.stride = p.zero_upsample ? 2 : 1;
  adjoint.pad_before = p.kernel - 1 - p.pad_before;
  if (adjoint.pad_before < 0) return std::nullopt;
  // The padding is the least that reaches all of x.
  const int last = adjoint.stride * (p.in_height - 1) + p.kernel;
  adjoint.pad_after = std::max(0, last - p.out_height - adjoint.pad_before);
  const auto gives = [&](int in, int out) {
    const int padded = out + adjoint.pad_before + adjoint.pad_after;
    return padded >= p.kernel && (padded - p.kernel) / adjoint.stride + 1 == in;
  };
  if (!gives(p.in_height, p.out_height) || !gives(p.in_width, p.out_width)) return std::nullopt;
  return adjoint;
}

unsigned wanted_parts(const ConvolutionProblem& problem) {
  return (problem.bias ? unsigned{kPartBias} : 0U) | (problem.residual ? unsigned{kPartResidual} : 0U) |
         (problem.scale != 1.0F ? unsigned{kPartScale} : 0U) | (problem.silu ? unsigned{kPartSilu} : 0U);
}

}  // namespace dpm::cuda
