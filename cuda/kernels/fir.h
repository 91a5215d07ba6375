// Maps of twice or half the size, filtered with [1 3 3 1] along both axes (NCSN++), with zeros outside a map.
#pragma once

#include "cuda/kernels/resample.h"

namespace dpm::cuda {

/// Computes 4 x the filter over x with zeros between its elements: x has half the height and width, apart from the
/// extension.
template <typename T>
void fir_upsample(const ResampleArguments<T>& arguments, cudaStream_t stream);

/// Computes every second element of the filtered x: x has twice the height and width.
template <typename T>
void fir_downsample(const ResampleArguments<T>& arguments, cudaStream_t stream);

extern template void fir_upsample(const ResampleArguments<float>&, cudaStream_t);
extern template void fir_upsample(const ResampleArguments<Half>&, cudaStream_t);
extern template void fir_upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
extern template void fir_downsample(const ResampleArguments<float>&, cudaStream_t);
extern template void fir_downsample(const ResampleArguments<Half>&, cudaStream_t);
extern template void fir_downsample(const ResampleArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
