// What an activation does to a derivative.
#pragma once

#include "cuda/kernels/channelwise.h"

namespace dpm::cuda {

/// y = f'(x) d, f the activation, which is one. y may be x or d.
template <typename T>
struct ActivationBackwardArguments {
  Map<const T> x;
  Map<const T> d;
  Map<T> y;
  int batch;
  int pixels;
  int channels;
  Activation activation;
};

template <typename T>
void activation_backward(const ActivationBackwardArguments<T>& arguments, cudaStream_t stream);

extern template void activation_backward(const ActivationBackwardArguments<float>&, cudaStream_t);
extern template void activation_backward(const ActivationBackwardArguments<Half>&, cudaStream_t);
extern template void activation_backward(const ActivationBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
