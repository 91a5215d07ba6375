// Attention where cuDNN does not support it (float32, heads wider than 256), or where there is no cuDNN.
#pragma once

#include "cuda/kernels/launch.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/storage.h"

namespace dpm::cuda {

/// Width of the widest head.
constexpr int kWidestHead = 1024;

/// Computes out = softmax(scale * q k^T + logits) v for every head of `width` adjacent channels; softmax and sums in
/// float32, one pass over the keys (Milakov & Gimelshein 2018).
template <typename T>
struct AttentionArguments {
  Map<const T> q;
  Map<const T> k;
  Map<const T> v;
  Map<T> out;
  int batch;
  int heads;
  int query_tokens;
  int key_tokens;
  int width;  ///< width of a head, at most kWidestHead
  float scale;
  bool causal;      ///< query i attends to keys 0 to i alone
  const T* logits;  ///< array with those of sample n at logits + n * logits_stride, one a key; null: zeros
  std::int64_t logits_stride;
};

/// Computes attention, on tensor cores where `attention_wide` takes the arguments.
template <typename T>
void attention(const AttentionArguments<T>& arguments, cudaStream_t stream);

extern template void attention(const AttentionArguments<float>&, cudaStream_t);
extern template void attention(const AttentionArguments<Half>&, cudaStream_t);
extern template void attention(const AttentionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
