// The convolution that ends a network of a 16-bit type: few output channels, which stay as exact as their sums. cuDNN
// has no kernel that writes float32 from 16-bit factors without compiling one for every batch.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

struct PredictionShape {
  int in_height;
  int in_width;
  int in_channels;
  int out_height;
  int out_width;
  int out_channels;
  int kernel;
  int stride;
  int pad_before;
};

/// y = convolution(x) + bias[c], float32 sums. The output pixel (i, j) reads x from (i, j) * stride - pad_before on,
/// zero outside.
template <typename T>
struct PredictionArguments {
  PredictionShape shape;
  int batch;
  Map<const T> x;
  const T* weight;  ///< array [out_channels][kernel][kernel][in_channels]
  Map<float> y;
  const float* bias;  ///< array [out_channels], may be null
};

/// Returns whether predict() takes a shape: at most 8 output channels, input channels in whole accesses of 16 bytes.
bool takes_prediction(const PredictionShape& shape);

/// Computes y on tensor cores. x and weight are aligned to 16 bytes in all pixels.
template <typename T>
void predict(const PredictionArguments<T>& arguments, cudaStream_t stream);

extern template void predict(const PredictionArguments<Half>&, cudaStream_t);
extern template void predict(const PredictionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
