// The packing of a weight from the parameters of a training run, as layers/weights.h packs one that is loaded.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// target[o][tap][i] = source[o][i][tap] for i < inputs; what is behind them, up to padded_inputs, stays as it is,
/// unless the weight is split for images: then the next `inputs` are the same, and those after them the remainders of
/// rounding.
template <typename T>
struct RepackWeightsArguments {
  const float* source;
  T* target;
  int outputs;
  int taps;  ///< taps of both axes
  int inputs;
  int padded_inputs;
  bool is_split;
  /// Tells whether the source is [i][o][tap], with the taps from the last to the first.
  bool is_transposed;
};

template <typename T>
void repack_weights(const RepackWeightsArguments<T>& arguments, cudaStream_t stream);

extern template void repack_weights(const RepackWeightsArguments<float>&, cudaStream_t);
extern template void repack_weights(const RepackWeightsArguments<Half>&, cudaStream_t);
extern template void repack_weights(const RepackWeightsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
