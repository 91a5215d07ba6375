// The derivative of an activation, applied to a cotangent or tangent.
#pragma once

#include "cuda/kernels/channelwise.h"

namespace dpm::cuda {

/// Computes y = f'(x) d for the activation f, which must not be kNone. y may be x or d.
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
