// Activations of text encoders and small autoencoders. They are kernels of their own, because one for all activations
// would be larger for those of every U-Net.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y = f(x) of every element; y may be x.
template <typename T>
struct ActivationArguments {
  Map<const T> x;
  Map<T> y;
  int batch;
  int pixels;
  int channels;
};

/// Computes x sigmoid(1.702 x).
template <typename T>
void quick_gelu(const ActivationArguments<T>& arguments, cudaStream_t stream);

/// Computes tanh(x).
template <typename T>
void tanh_of(const ActivationArguments<T>& arguments, cudaStream_t stream);

extern template void quick_gelu(const ActivationArguments<float>&, cudaStream_t);
extern template void quick_gelu(const ActivationArguments<Half>&, cudaStream_t);
extern template void quick_gelu(const ActivationArguments<Bfloat16>&, cudaStream_t);
extern template void tanh_of(const ActivationArguments<float>&, cudaStream_t);
extern template void tanh_of(const ActivationArguments<Half>&, cudaStream_t);
extern template void tanh_of(const ActivationArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
