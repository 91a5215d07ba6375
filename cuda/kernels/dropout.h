// Dropout, which a training run's forward and backward pass compute alike.
#pragma once

#include "backend/dropout_math.h"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// y is 0, or x times the scale (DPM_OP_DROPOUT). y may be x.
template <typename T>
struct DropoutArguments {
  Map<const T> x;
  Map<T> y;
  const T* bytes;  ///< array with the kDropoutBytes bytes of sample n at bytes + n * bytes_stride
  std::int64_t bytes_stride;
  int batch;
  int pixels;
  int channels;
  Dropout dropout;
};

template <typename T>
void dropout(const DropoutArguments<T>& arguments, cudaStream_t stream);

extern template void dropout(const DropoutArguments<float>&, cudaStream_t);
extern template void dropout(const DropoutArguments<Half>&, cudaStream_t);
extern template void dropout(const DropoutArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
