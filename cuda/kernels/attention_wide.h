// Attention on tensor cores for heads that are wider than cuDNN's limit.
#pragma once

#include "cuda/kernels/attention.h"

namespace dpm::cuda {

/// Returns whether `attention_wide` takes these arguments: 257 channels per head (cuDNN has the narrower ones) to 512,
/// 8 of them at a time aligned in all maps.
template <typename T>
bool takes_attention_wide(const AttentionArguments<T>& arguments);

/// Computes the result of `attention`, with weights rounded to T before they multiply v; their sum is that of the
/// rounded ones. Where float32 has the scores to a few digits behind the point, every result is within 4 u of the sum
/// of |weight * v|: u is T's unit of rounding, 2^-11 for Half and 2^-8 for Bfloat16. Small weights in Half add 2^-24 of
/// the sum of |v|.
template <typename T>
void attention_wide(const AttentionArguments<T>& arguments, cudaStream_t stream);

extern template bool takes_attention_wide(const AttentionArguments<Half>&);
extern template bool takes_attention_wide(const AttentionArguments<Bfloat16>&);
extern template void attention_wide(const AttentionArguments<Half>&, cudaStream_t);
extern template void attention_wide(const AttentionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
