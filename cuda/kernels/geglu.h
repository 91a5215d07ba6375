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

/// The cotangents of the values, y[c], and of the gates, y[channels + c], from d, that of the result. y may be x.
template <typename T>
struct GegluBackwardArguments {
  Map<const T> x;
  Map<const T> d;
  Map<T> y;
  int batch;
  int pixels;
  int channels;  ///< number of channels of d, half of those of x
};

template <typename T>
void geglu(const GegluArguments<T>& arguments, cudaStream_t stream);

template <typename T>
void geglu_backward(const GegluBackwardArguments<T>& arguments, cudaStream_t stream);

extern template void geglu(const GegluArguments<float>&, cudaStream_t);
extern template void geglu(const GegluArguments<Half>&, cudaStream_t);
extern template void geglu(const GegluArguments<Bfloat16>&, cudaStream_t);
extern template void geglu_backward(const GegluBackwardArguments<float>&, cudaStream_t);
extern template void geglu_backward(const GegluBackwardArguments<Half>&, cudaStream_t);
extern template void geglu_backward(const GegluBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
