// The derivative of attention, both ways.
#pragma once

#include <cstdint>

#include "cuda/kernels/attention.h"

namespace dpm::cuda {

/// Arguments of the cotangents. With P = softmax(scale * q k^T) of a head and S = P (d v^T - rows' sums of P (d v^T)),
/// element by element: dq = scale * S k, dk = scale * S^T q, dv = P^T d for a cotangent d of the result. P is computed
/// again; softmax and sums are float32.
template <typename T>
struct AttentionBackwardArguments {
  Map<const T> q;
  Map<const T> k;
  Map<const T> v;
  Map<const T> d;
  Map<T> dq;
  Map<T> dk;
  Map<T> dv;
  int batch;
  int heads;
  int queries;
  int keys;
  bool causal;  ///< a query attends to itself and to the keys before it
  int width;    ///< width of a head, at most kWidestHead
  float scale;
  float* workspace;  ///< array of attention_backward_workspace(...) floats
};

/// Arguments of the tangent. With P as above, M = scale * (tq k^T + q tk^T) and S = P (M - rows' sums of P M): out = S
/// v + P tv for tangents of q, k and v.
template <typename T>
struct AttentionTangentArguments {
  Map<const T> q;
  Map<const T> k;
  Map<const T> v;
  Map<const T> tq;
  Map<const T> tk;
  Map<const T> tv;
  Map<T> out;
  int batch;
  int heads;
  int tokens;
  int width;  ///< width of a head, at most kWidestHead
  float scale;
};

/// Returns the size of the workspace: two numbers for every row of P.
inline std::int64_t attention_backward_workspace(int batch, int heads, int queries) {
  return std::int64_t{2} * batch * heads * queries;
}

/// Launches one kernel for the cotangent of queries and one for those of keys and values.
template <typename T>
void attention_backward(const AttentionBackwardArguments<T>& arguments, cudaStream_t stream);

template <typename T>
void attention_tangent(const AttentionTangentArguments<T>& arguments, cudaStream_t stream);

extern template void attention_backward(const AttentionBackwardArguments<float>&, cudaStream_t);
extern template void attention_backward(const AttentionBackwardArguments<Half>&, cudaStream_t);
extern template void attention_backward(const AttentionBackwardArguments<Bfloat16>&, cudaStream_t);
extern template void attention_tangent(const AttentionTangentArguments<float>&, cudaStream_t);
extern template void attention_tangent(const AttentionTangentArguments<Half>&, cudaStream_t);
extern template void attention_tangent(const AttentionTangentArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
