// Sums over the rows of a batch.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// sum[c][pixel] += sum over n < rows of x[n][pixel][c], in double and in the order of n.
template <typename T>
struct RowSumArguments {
  Map<const T> x;
  float* sum;
  int rows;
  int pixels;
  int channels;
};

template <typename T>
void row_sum(const RowSumArguments<T>& arguments, cudaStream_t stream);

extern template void row_sum(const RowSumArguments<float>&, cudaStream_t);
extern template void row_sum(const RowSumArguments<Half>&, cudaStream_t);
extern template void row_sum(const RowSumArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
