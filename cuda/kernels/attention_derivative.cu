#include <cfloat>

#include "cuda/kernels/attention_derivative.h"
#include "cuda/kernels/attention_token.h"

namespace dpm::cuda {
namespace {

/// Warps of a block, with one token each. The tokens are neighbours, whose operands are then in the cache.
constexpr unsigned kWarps = 4;
constexpr float kLog2E = 1.44269504088896341F;
/// Channels per lane: few for usual heads, many for wider ones.
constexpr int kFew = 8;
constexpr int kMany = 32;

/// Returns this warp's token of `tokens`; `n` is the batch's size where it has none.
template <typename Arguments>
__device__ HeadToken own_token(const Arguments& a, int tokens, int lanes) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const std::int64_t index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const std::int64_t row = index / tokens;
  if (row >= std::int64_t{a.batch} * a.heads) return {a.batch, 0, 0, lanes, 0, 0};
  return {row / a.heads, row % a.heads, index % tokens, lanes, lane % lanes, lane / lanes};
}

/// Calls `body(token, is_there)` for every token of the sample that belongs to this group of lanes; all lanes of the
/// warp make the same number of calls.
template <typename Body>
__device__ void for_tokens(int tokens, const HeadToken& own, const Body& body) {
  const int groups = static_cast<int>(kWarp) / own.lanes;
  for (int first = 0; first < tokens; first += groups) body(first + own.group, first + own.group < tokens);
}

/// Computes a lane's part of the product of two tokens.
template <typename T, int Width, int Chunks>
__device__ float part(const HeadChannels<T, Width, Chunks>& a, const HeadChannels<T, Width, Chunks>& b) {
  float sum = 0.0F;
  for (int c = 0; c < Width * Chunks; ++c) sum += a.value(c) * b.value(c);
  return sum;
}

/// Returns the sum of the parts of `lanes` lanes, in each of them.
__device__ float whole(float part, int lanes) {
  for (int i = lanes / 2; i > 0; i /= 2) part += __shfl_xor_sync(kWholeWarp, part, static_cast<unsigned>(i));
  return part;
}

/// Weighted sums of tokens.
template <typename T, int Width, int Chunks>
struct Sums {
  float value[Width * Chunks] = {};

  __device__ void add(float weight, const HeadChannels<T, Width, Chunks>& token) {
    for (int c = 0; c < Width * Chunks; ++c) value[c] += weight * token.value(c);
  }

  /// Adds the sums of the other groups of the warp, and writes the result times `scale`.
  __device__ void store(const Map<T>& map, const HeadToken& own, int width, float scale) {
    for (int lanes = static_cast<int>(kWarp) / 2; lanes >= own.lanes; lanes /= 2) {
      for (int c = 0; c < Width * Chunks; ++c) {
        value[c] += __shfl_xor_sync(kWholeWarp, value[c], static_cast<unsigned>(lanes));
      }
    }
    if (own.group != 0) return;
    T* row = map.data + own.n * map.sample_stride + own.token * map.pixel_stride + own.head * width;
    for (int i = 0; i < Chunks; ++i) {
      const int c = (i * own.lanes + own.lane) * Width;
      if (c >= width) continue;
      Vector<T, Width> result;
      for (int j = 0; j < Width; ++j) result.value[j] = from_float<T>(scale * value[i * Width + j]);
      store_vector(row + c, result);
    }
  }
};

/// The state of a row of P after some of its scores, which are in bits: the sum of their powers of two, and the sum of
/// the powers times the number that belongs to each.
struct RowSums {
  // A finite number keeps a group without tokens free of NaN.
  float largest = -FLT_MAX;
  float powers = 0.0F;
  float products = 0.0F;

  __device__ void rescale(float next_largest) {
    const float factor = exp2f(largest - next_largest);
    powers *= factor;
    products *= factor;
    largest = next_largest;
  }

  __device__ void add(float score, float other) {
    rescale(fmaxf(largest, score));
    const float power = exp2f(score - largest);
    powers += power;
    products += power * other;
  }

  /// Merges the states of the other groups of the warp.
  __device__ void merge(int group_lanes) {
    float most = largest;
    for (int lanes = static_cast<int>(kWarp) / 2; lanes >= group_lanes; lanes /= 2) {
      most = fmaxf(most, __shfl_xor_sync(kWholeWarp, most, static_cast<unsigned>(lanes)));
    }
    rescale(most);
    for (int lanes = static_cast<int>(kWarp) / 2; lanes >= group_lanes; lanes /= 2) {
      powers += __shfl_xor_sync(kWholeWarp, powers, static_cast<unsigned>(lanes));
      products += __shfl_xor_sync(kWholeWarp, products, static_cast<unsigned>(lanes));
    }
  }
};

/// A row of P: its elements are 2^(score - logarithm); and the mean of the numbers that belong to them.
struct Row {
  float logarithm;
  float mean;

  __device__ explicit Row(const RowSums& sums)
      : logarithm(sums.largest + log2f(sums.powers)), mean(sums.products / sums.powers) {}
  __device__ explicit Row(const float* numbers) : logarithm(numbers[0]), mean(numbers[1]) {}
};

template <typename T>
__device__ float* row_of(const AttentionBackwardArguments<T>& a, const HeadToken& own, std::int64_t token) {
  return a.workspace + 2 * ((own.n * a.heads + own.head) * a.queries + token);
}

/// Computes dq, and the rows of P for the next kernel.
template <typename T, int Width, int Chunks>
__global__ void __launch_bounds__(kWarps* kWarp, 1) backward_query_kernel(AttentionBackwardArguments<T> a, int lanes) {
  using Channels = HeadChannels<T, Width, Chunks>;
  const HeadToken own = own_token(a, a.queries, lanes);
  if (own.n == a.batch) return;
  Channels q;
  Channels d;
  q.read(a.q, own, own.token, a.width);
  d.read(a.d, own, own.token, a.width);
  // Calls `body(key, score, product)` with the product of d and each key's value.
  const auto for_keys = [&](const auto& body) {
    for_tokens(a.keys, own, [&](int token, bool is_key) {
      const bool is_there = is_key && (!a.causal || token <= own.token);
      Channels k;
      Channels v;
      if (is_there) k.read(a.k, own, token, a.width);
      if (is_there) v.read(a.v, own, token, a.width);
      const float score = whole(part(q, k), lanes) * (a.scale * kLog2E);
      const float other = whole(part(d, v), lanes);
      if (is_there) body(k, score, other);
    });
  };
  RowSums sums;
  for_keys([&](const Channels& /*k*/, float score, float other) { sums.add(score, other); });
  sums.merge(lanes);
  const Row row(sums);
  if (own.group == 0 && own.lane == 0) {
    float* numbers = row_of(a, own, own.token);
    numbers[0] = row.logarithm;
    numbers[1] = row.mean;
  }
  Sums<T, Width, Chunks> dq;
  for_keys([&](const Channels& k, float score, float other) {
    dq.add(exp2f(score - row.logarithm) * (other - row.mean), k);
  });
  dq.store(a.dq, own, a.width, a.scale);
}

/// Computes dk and dv.
template <typename T, int Width, int Chunks>
__global__ void __launch_bounds__(kWarps* kWarp, 1) backward_key_kernel(AttentionBackwardArguments<T> a, int lanes) {
  using Channels = HeadChannels<T, Width, Chunks>;
  const HeadToken own = own_token(a, a.keys, lanes);
  if (own.n == a.batch) return;
  Channels k;
  Channels v;
  k.read(a.k, own, own.token, a.width);
  v.read(a.v, own, own.token, a.width);
  Sums<T, Width, Chunks> dk;
  Sums<T, Width, Chunks> dv;
  for_tokens(a.queries, own, [&](int token, bool is_query) {
    const bool is_there = is_query && (!a.causal || token >= own.token);
    Channels q;
    Channels d;
    if (is_there) q.read(a.q, own, token, a.width);
    if (is_there) d.read(a.d, own, token, a.width);
    const float score = whole(part(q, k), lanes) * (a.scale * kLog2E);
    const float other = whole(part(d, v), lanes);
    if (!is_there) return;
    const Row row(row_of(a, own, token));
    const float weight = exp2f(score - row.logarithm);
    dk.add(weight * (other - row.mean), q);
    dv.add(weight, d);
  });
  dk.store(a.dk, own, a.width, a.scale);
  dv.store(a.dv, own, a.width, 1.0F);
}

template <typename T, int Width, int Chunks>
__global__ void __launch_bounds__(kWarps* kWarp, 1) tangent_kernel(AttentionTangentArguments<T> a, int lanes) {
  using Channels = HeadChannels<T, Width, Chunks>;
  const HeadToken own = own_token(a, a.tokens, lanes);
  if (own.n == a.batch) return;
  Channels q;
  Channels tq;
  q.read(a.q, own, own.token, a.width);
  tq.read(a.tq, own, own.token, a.width);
  // Calls `body(token, score, its tangent)` for each key.
  const auto for_keys = [&](const auto& body) {
    for_tokens(a.tokens, own, [&](int token, bool is_there) {
      Channels k;
      Channels tk;
      if (is_there) k.read(a.k, own, token, a.width);
      if (is_there) tk.read(a.tk, own, token, a.width);
      const float score = whole(part(q, k), lanes) * (a.scale * kLog2E);
      const float tangent = whole(part(tq, k) + part(q, tk), lanes) * a.scale;
      if (is_there) body(token, score, tangent);
    });
  };
  RowSums sums;
  for_keys([&](int /*token*/, float score, float tangent) { sums.add(score, tangent); });
  sums.merge(lanes);
  const Row row(sums);
  Sums<T, Width, Chunks> out;
  for_keys([&](int token, float score, float tangent) {
    const float weight = exp2f(score - row.logarithm);
    Channels value;
    value.read(a.v, own, token, a.width);
    out.add(weight * (tangent - row.mean), value);
    value.read(a.tv, own, token, a.width);
    out.add(weight, value);
  });
  out.store(a.out, own, a.width, 1.0F);
}

/// Calls `launch(grid, block, lanes)` for one warp for each of a head's `tokens`.
template <typename Arguments, typename Launch>
void for_grid(const Arguments& a, int tokens, int channels_of_lane, const Launch& launch) {
  int lanes = 1;
  while (lanes * channels_of_lane < a.width) lanes *= 2;
  const std::int64_t warps = std::int64_t{a.batch} * a.heads * tokens;
  launch(dim3(static_cast<unsigned>((warps + kWarps - 1) / kWarps)), dim3(kWarps * kWarp), lanes);
}

template <int Width, int Chunks, typename T>
void launch(const AttentionBackwardArguments<T>& arguments, cudaStream_t stream) {
  for_grid(arguments, arguments.queries, Width * Chunks, [&](const dim3& grid, const dim3& block, int lanes) {
    constexpr auto kQueries = backward_query_kernel<T, Width, Chunks>;
    DPM_LAUNCH(kQueries, grid, block, stream, arguments, lanes);
  });
  for_grid(arguments, arguments.keys, Width * Chunks, [&](const dim3& grid, const dim3& block, int lanes) {
    constexpr auto kKeys = backward_key_kernel<T, Width, Chunks>;
    DPM_LAUNCH(kKeys, grid, block, stream, arguments, lanes);
  });
}

template <int Width, int Chunks, typename T>
void launch(const AttentionTangentArguments<T>& arguments, cudaStream_t stream) {
  for_grid(arguments, arguments.tokens, Width * Chunks, [&](const dim3& grid, const dim3& block, int lanes) {
    constexpr auto kKernel = tangent_kernel<T, Width, Chunks>;
    DPM_LAUNCH(kKernel, grid, block, stream, arguments, lanes);
  });
}

template <int Width, typename Arguments>
void launch_for_width(const Arguments& arguments, cudaStream_t stream) {
  if (arguments.width <= kFew * static_cast<int>(kWarp)) {
    launch<Width, kFew / Width>(arguments, stream);
  } else {
    launch<Width, kMany / Width>(arguments, stream);
  }
}

/// Returns whether vectors of N channels are aligned in all of the maps.
template <int N, typename... Maps>
bool take_vectors(int width, const Maps&... maps) {
  return (takes_vectors<N>(maps, width) && ...);
}

}  // namespace

template <typename T>
void attention_backward(const AttentionBackwardArguments<T>& a, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (take_vectors<kWidth>(a.width, a.q, a.k, a.v, a.d, a.dq, a.dk, a.dv)) {
    launch_for_width<kWidth>(a, stream);
  } else {
    launch_for_width<1>(a, stream);
  }
}

template <typename T>
void attention_tangent(const AttentionTangentArguments<T>& a, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (take_vectors<kWidth>(a.width, a.q, a.k, a.v, a.tq, a.tk, a.tv, a.out)) {
    launch_for_width<kWidth>(a, stream);
  } else {
    launch_for_width<1>(a, stream);
  }
}

template void attention_backward(const AttentionBackwardArguments<float>&, cudaStream_t);
template void attention_backward(const AttentionBackwardArguments<Half>&, cudaStream_t);
template void attention_backward(const AttentionBackwardArguments<Bfloat16>&, cudaStream_t);
template void attention_tangent(const AttentionTangentArguments<float>&, cudaStream_t);
template void attention_tangent(const AttentionTangentArguments<Half>&, cudaStream_t);
template void attention_tangent(const AttentionTangentArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
