// The weights of a convolution's adjoint.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Sizes of weights [out_channels][taps][in_channels].
struct WeightShape {
  int out_channels;
  int taps;  ///< taps of both axes
  int in_channels;
};

/// Writes `weights` to `adjoint` as [in_channels][taps, from the last to the first][out_channels].
template <typename T>
void adjoint_weights(const T* weights, const WeightShape& shape, T* adjoint, cudaStream_t stream);

extern template void adjoint_weights(const float*, const WeightShape&, float*, cudaStream_t);
extern template void adjoint_weights(const Half*, const WeightShape&, Half*, cudaStream_t);
extern template void adjoint_weights(const Bfloat16*, const WeightShape&, Bfloat16*, cudaStream_t);

}  // namespace dpm::cuda
