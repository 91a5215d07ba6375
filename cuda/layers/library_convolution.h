// What convolutions, and the gradients of their weights, ask of a vendor's library.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "cuda/layers/layer.h"

namespace dpm::cuda {

/// Returns whether the library takes a map of `batch` samples of a type. It requires addresses with the alignment of
/// the pixel stride, and may count a map's elements in 32 bits.
bool suits_library(const ValueInfo& value, DType dtype, int batch);

/// Returns the problem of a convolution from `in` to `out`, with their stored channels and nothing that joins it.
ConvolutionProblem convolution_problem(const Device& device, const dpm_convolution_attributes& attributes,
                                       const ValueInfo& in, const ValueInfo& out, int batch);

/// Returns the offset of what lies behind a workspace of so many bytes.
std::size_t workspace_end(std::int64_t bytes);

}  // namespace dpm::cuda
