// The gated activation of transformers.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y[c] = x[c] gelu(x[channels + c]) for c < channels.
template <typename T>
struct GegluArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int pixels;
  int channels;  ///< number of channels of y, half of those of x
};

template <typename T>
void geglu(const GegluArguments<T>& arguments, cudaStream_t stream);

extern template void geglu(const GegluArguments<float>&, cudaStream_t);
extern template void geglu(const GegluArguments<Half>&, cudaStream_t);
extern template void geglu(const GegluArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
