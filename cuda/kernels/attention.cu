#include <cfloat>
#include <cmath>
#include <type_traits>

#include "cuda/kernels/attention.h"
#include "cuda/kernels/attention_token.h"
#include "cuda/kernels/attention_wide.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {
namespace {

/// Warps of a block, with one query each. The queries are neighbours, whose keys are then in the cache.
constexpr unsigned kWarps = 4;
constexpr float kLog2E = 1.44269504088896341F;

/// The softmax state of one group of lanes after some of the keys.
template <typename T, int Width, int Chunks, int Keys>
struct Softmax {
  using Token = HeadChannels<T, Width, Chunks>;

  float q[Chunks * Width];
  float sum[Chunks * Width] = {};
  float weights = 0.0F;
  // A finite number keeps a group without keys free of NaN.
  float largest = -FLT_MAX;
  /// Number of keys that the query attends to.
  int keys;

  /// Computes the scores, in bits rather than nats, of the keys first, first + step...; minus infinity beyond `keys`.
  __device__ void score(const AttentionArguments<T>& a, const HeadToken& query, int first, int step,
                        float* scores) const {
    for (int j = 0; j < Keys; ++j) {
      Token key;
      const int token = first + j * step;
      if (token < keys) key.read(a.k, query, token, a.width);
      scores[j] = 0.0F;
      for (int c = 0; c < Chunks * Width; ++c) scores[j] += q[c] * key.value(c);
    }
    for (int lanes = query.lanes / 2; lanes > 0; lanes /= 2) {
      for (int j = 0; j < Keys; ++j) scores[j] += __shfl_xor_sync(kWholeWarp, scores[j], static_cast<unsigned>(lanes));
    }
    for (int j = 0; j < Keys; ++j) {
      const int token = first + j * step;
      if (token >= keys) {
        scores[j] = -INFINITY;
      } else if (a.logits != nullptr) {
        scores[j] += kLog2E * to_float(a.logits[query.n * a.logits_stride + token]);
      }
    }
  }

  __device__ void rescale(float next_largest) {
    const float factor = exp2f(largest - next_largest);
    weights *= factor;
    for (int c = 0; c < Chunks * Width; ++c) sum[c] *= factor;
    largest = next_largest;
  }

  __device__ void add(const AttentionArguments<T>& a, const HeadToken& query, int first, int step) {
    float scores[Keys];
    score(a, query, first, step, scores);
    float next_largest = largest;
    for (int j = 0; j < Keys; ++j) next_largest = fmaxf(next_largest, scores[j]);
    rescale(next_largest);
    for (int j = 0; j < Keys; ++j) {
      const float weight = exp2f(scores[j] - largest);
      weights += weight;
      Token value;
      const int token = first + j * step;
      if (token < keys) value.read(a.v, query, token, a.width);
      for (int c = 0; c < Chunks * Width; ++c) sum[c] += weight * value.value(c);
    }
  }

  /// Merges the states of the other groups of the warp.
  __device__ void merge(int group_lanes) {
    float most = largest;
    for (unsigned lanes = kWarp / 2; lanes >= static_cast<unsigned>(group_lanes); lanes /= 2) {
      most = fmaxf(most, __shfl_xor_sync(kWholeWarp, most, lanes));
    }
    rescale(most);
    for (unsigned lanes = kWarp / 2; lanes >= static_cast<unsigned>(group_lanes); lanes /= 2) {
      weights += __shfl_xor_sync(kWholeWarp, weights, lanes);
      for (int c = 0; c < Chunks * Width; ++c) sum[c] += __shfl_xor_sync(kWholeWarp, sum[c], lanes);
    }
  }
};

/// Number of keys that a group of lanes takes at once, limited by the registers.
template <int ChannelsOfLane>
constexpr int kKeysAtOnce = ChannelsOfLane <= 8    ? 4
                            : ChannelsOfLane <= 16 ? 2
                                                   : 1;

template <typename T, int Width, int Chunks>
__global__ void __launch_bounds__(kWarps* kWarp, 2) attention_kernel(AttentionArguments<T> a, int lanes) {
  constexpr int kKeys = kKeysAtOnce<Width * Chunks>;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const std::int64_t index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const std::int64_t row = index / a.query_tokens;
  if (row >= std::int64_t{a.batch} * a.heads) return;
  const HeadToken query = {row / a.heads, row % a.heads, index % a.query_tokens, lanes, lane % lanes, lane / lanes};

  Softmax<T, Width, Chunks, kKeys> softmax;
  softmax.keys = a.causal ? static_cast<int>(query.token) + 1 : a.key_tokens;
  HeadChannels<T, Width, Chunks> q;
  q.read(a.q, query, query.token, a.width);
  for (int c = 0; c < Chunks * Width; ++c) {
    softmax.q[c] = q.value(c) * (a.scale * kLog2E);
  }
  const int groups = static_cast<int>(kWarp) / lanes;
  for (int first = 0; first < softmax.keys; first += groups * kKeys) {
    softmax.add(a, query, first + query.group, groups);
  }
  softmax.merge(lanes);
  if (query.group != 0) return;

  T* out = a.out.data + query.n * a.out.sample_stride + query.token * a.out.pixel_stride + query.head * a.width;
  const float inverse = 1.0F / softmax.weights;
  for (int i = 0; i < Chunks; ++i) {
    const int c = (i * lanes + query.lane) * Width;
    if (c >= a.width) continue;
    Vector<T, Width> result;
    for (int j = 0; j < Width; ++j) result.value[j] = from_float<T>(softmax.sum[i * Width + j] * inverse);
    store_vector(out + c, result);
  }
}

template <typename T, int Width, int Chunks>
void launch_attention(const AttentionArguments<T>& arguments, cudaStream_t stream) {
  int lanes = 1;
  while (lanes * Width * Chunks < arguments.width) lanes *= 2;
  const std::int64_t queries = std::int64_t{arguments.batch} * arguments.heads * arguments.query_tokens;
  const dim3 grid(static_cast<unsigned>((queries + kWarps - 1) / kWarps));
  constexpr auto kKernel = attention_kernel<T, Width, Chunks>;
  DPM_LAUNCH(kKernel, grid, dim3(kWarps * kWarp), stream, arguments, lanes);
}

/// Launches the kernel with the fewest channels per lane that let a warp hold the width.
template <typename T, int Width, int Chunks = 1>
void launch_for_width(const AttentionArguments<T>& arguments, cudaStream_t stream) {
  if constexpr (Width * Chunks * static_cast<int>(kWarp) < kWidestHead) {
    if (arguments.width > Width * Chunks * static_cast<int>(kWarp)) {
      launch_for_width<T, Width, Chunks * 2>(arguments, stream);
      return;
    }
  }
  launch_attention<T, Width, Chunks>(arguments, stream);
}

}  // namespace

template <typename T>
void attention(const AttentionArguments<T>& arguments, cudaStream_t stream) {
  if constexpr (!std::is_same_v<T, float>) {
    if (!arguments.causal && arguments.logits == nullptr && takes_attention_wide(arguments)) {
      attention_wide(arguments, stream);
      return;
    }
  }
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.q, arguments.width) && takes_vectors<kWidth>(arguments.k, arguments.width) &&
      takes_vectors<kWidth>(arguments.v, arguments.width) && takes_vectors<kWidth>(arguments.out, arguments.width)) {
    launch_for_width<T, kWidth>(arguments, stream);
  } else {
    launch_for_width<T, 1>(arguments, stream);
  }
}

template void attention(const AttentionArguments<float>&, cudaStream_t);
template void attention(const AttentionArguments<Half>&, cudaStream_t);
template void attention(const AttentionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
