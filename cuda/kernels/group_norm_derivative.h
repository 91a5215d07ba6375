// The derivative of group norm, both ways.
#pragma once

#include <cstdint>

#include "cuda/kernels/group_norm.h"

namespace dpm::cuda {

/// Arguments of the derivative. With x' the normalised map, h = gamma (1 + scale), s the slope of SiLU or 1 and means
/// over a group, y is
///   (h s d - mean(h s d) - x' mean(h s d x')) / deviation for a cotangent d of the norm's result, and
///   h s (t - mean(t) - x' mean(t x')) / deviation for a tangent t of x. Statistics and sums are float32.
template <typename T>
struct GroupNormDerivativeArguments {
  /// Arguments of the norm, with y as above, no added or completed operands, and group_norm_derivative_workspace(...)
  /// floats.
  GroupNormArguments<T> norm;
  Map<const T> given;  ///< tensor d or t; may be y
  bool is_backward;    ///< tells whether the given tensor is d
};

/// Returns the floats of workspace that a launch needs, 0 for small maps.
std::int64_t group_norm_derivative_workspace(int batch, int pixels, int channels, int groups);

/// Computes the derivative, divided as by group_norm, so that x' is the norm's: by one kernel where the groups fit into
/// the registers of a block each, by three where they do not.
template <typename T>
void group_norm_derivative(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream);

extern template void group_norm_derivative(const GroupNormDerivativeArguments<float>&, cudaStream_t);
extern template void group_norm_derivative(const GroupNormDerivativeArguments<Half>&, cudaStream_t);
extern template void group_norm_derivative(const GroupNormDerivativeArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
