// The weights of a convolution the other way round.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Sizes of [out_channels][taps][in_channels].
struct WeightShape {
  int out_channels;
  int taps;  ///< of both axes
  int in_channels;
};

/// `adjoint` becomes [in_channels][taps, from the last to the first][out_channels] of `weights`.
template <typename T>
void adjoint_weights(const T* weights, const WeightShape& shape, T* adjoint, cudaStream_t stream);

extern template void adjoint_weights(const float*, const WeightShape&, float*, cudaStream_t);
extern template void adjoint_weights(const Half*, const WeightShape&, Half*, cudaStream_t);
extern template void adjoint_weights(const Bfloat16*, const WeightShape&, Bfloat16*, cudaStream_t);

}  // namespace dpm::cuda
