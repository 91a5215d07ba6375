// Sums of a convolution's weights, from where products left them to where gradients are added up.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// sum[o][i][tap] += parts[0][o][tap][i] + parts[1][o][tap][i] + ..., in this order.
template <typename T>
struct WeightSumsArguments {
  const T* parts;
  int count;
  std::int64_t part_stride;
  int out_channels;
  int taps;  ///< taps of both axes
  int in_channels;
  int padded_channels;  ///< number of channels of a tap in `parts`, at least in_channels
  float* sum;
};

template <typename T>
void add_weight_sums(const WeightSumsArguments<T>& arguments, cudaStream_t stream);

extern template void add_weight_sums(const WeightSumsArguments<float>&, cudaStream_t);
extern template void add_weight_sums(const WeightSumsArguments<Half>&, cudaStream_t);
extern template void add_weight_sums(const WeightSumsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
