#include <cfloat>
#include <cmath>

#include "cuda/kernels/attention_wide.h"
#include "cuda/kernels/attention_wide_tiles.h"
#include "cuda/kernels/load_floats.h"

namespace dpm::cuda {
namespace wide_attention {
namespace {

constexpr int kNarrowest = 257;
constexpr int kWidest = kWarps * kChannels;
constexpr unsigned kThreads = kWarps * kWarp;
/// Rows of scores per warp: two, with two keys per lane.
constexpr int kRowsOfWarp = kQueries / kWarps;
constexpr unsigned kLanesOfRow = kWarp / kRowsOfWarp;
static_assert(kLanesOfRow * 2 == kKeys);
constexpr float kLog2E = 1.44269504088896341F;

/// Returns the maximum over the row's lanes.
__device__ inline float largest_of_row(float value) {
  for (unsigned lanes = kLanesOfRow / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, lanes));
  }
  return value;
}

/// The softmax state of half a warp for its row after some of the keys (Milakov & Gimelshein 2018).
template <typename T>
struct RowSoftmax {
  int row = static_cast<int>(threadIdx.x / kLanesOfRow);
  int lane = static_cast<int>(threadIdx.x % kLanesOfRow);
  float largest = -FLT_MAX;
  float weights = 0.0F;  ///< sum of weights of the lane's keys

  /// Turns the scores of `count` more keys into weights. `scale` is in bits.
  __device__ void weigh(Exchange& exchange, float scale, int count) {
    Floats<2> scores = {};
    DPM_UNROLL
    for (const auto& scores_of_warp : exchange.scores) {
      const Floats<2> share = load_floats<2>(&scores_of_warp[row][2 * lane]);
      for (int i = 0; i < 2; ++i) scores.value[i] += share.value[i];
    }
    for (int i = 0; i < 2; ++i) scores.value[i] = 2 * lane + i < count ? scores.value[i] * scale : -INFINITY;

    const float next = fmaxf(largest, largest_of_row(fmaxf(scores.value[0], scores.value[1])));
    const float factor = exp2f(largest - next);
    largest = next;
    const T first = from_float<T>(exp2f(scores.value[0] - next));
    const T second = from_float<T>(exp2f(scores.value[1] - next));
    // Weights are summed as rounded for the products with the values, so that the result stays a mean of these.
    weights = weights * factor + to_float(first) + to_float(second);
    exchange.weights[row][lane] = pack(first, second);
    if (lane == 0) exchange.factors[row] = factor;
  }

  __device__ void finish(Exchange& exchange) {
    for (unsigned lanes = kLanesOfRow / 2; lanes > 0; lanes /= 2) {
      weights += __shfl_xor_sync(kWholeWarp, weights, lanes);
    }
    if (lane == 0) exchange.inverses[row] = 1.0F / weights;
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads, 1) attention_wide_kernel(AttentionArguments<T> a, int query_tiles) {
  __shared__ Exchange exchange;
  const Place place;
  const int first_query = static_cast<int>(blockIdx.x % query_tiles) * kQueries;
  const int head = static_cast<int>(blockIdx.x / query_tiles % a.heads);
  const std::int64_t n = blockIdx.x / query_tiles / a.heads;
  const QueryTile<T> q(Tokens<T>(a.q, n, head, a.query_tokens, a.width), place, first_query);
  KeyTile<T> k(Tokens<T>(a.k, n, head, a.key_tokens, a.width), place);
  Rows<T> values = ValueTile<T>::rows(Tokens<T>(a.v, n, head, a.key_tokens, a.width), place);
  ValueTile<T> even;
  ValueTile<T> odd;
  RowSoftmax<T> softmax;
  ResultTile<T> result;
  const auto step = [&](int first, const ValueTile<T>& now, ValueTile<T>& next) {
    k.score(q, place, exchange);
    // The next step's operands are loaded while this step computes its weights and products.
    k.read();
    next.read(values);
    __syncthreads();
    softmax.weigh(exchange, a.scale * kLog2E, a.key_tokens - first);
    __syncthreads();
    result.scale(exchange.factors, place);
    result.add(now, place, exchange);
  };
  k.read();
  even.read(values);
  for (int first = 0; first < a.key_tokens; first += 2 * kKeys) {
    step(first, even, odd);
    if (first + kKeys < a.key_tokens) step(first + kKeys, odd, even);
  }
  softmax.finish(exchange);
  __syncthreads();
  result.scale(exchange.inverses, place);

  T* out = a.out.data + n * a.out.sample_stride + std::int64_t{head} * a.width;
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + place.lane.group + 8 * half;
    if (query < a.query_tokens) result.store(out + query * a.out.pixel_stride, a.width, place, half);
  }
}

}  // namespace
}  // namespace wide_attention

template <typename T>
bool takes_attention_wide(const AttentionArguments<T>& a) {
  constexpr int kAccess = wide_attention::kAccess;
  return a.width >= wide_attention::kNarrowest && a.width <= wide_attention::kWidest &&
         takes_vectors<kAccess>(a.q, a.width) && takes_vectors<kAccess>(a.k, a.width) &&
         takes_vectors<kAccess>(a.v, a.width) && takes_vectors<kAccess>(a.out, a.width);
}

template <typename T>
void attention_wide(const AttentionArguments<T>& a, cudaStream_t stream) {
  constexpr auto kKernel = wide_attention::attention_wide_kernel<T>;
  constexpr int kQueries = wide_attention::kQueries;
  const int query_tiles = (a.query_tokens + kQueries - 1) / kQueries;
  const dim3 grid(static_cast<unsigned>(std::int64_t{a.batch} * a.heads * query_tiles));
  DPM_LAUNCH(kKernel, grid, dim3(wide_attention::kThreads), stream, a, query_tiles);
}

template bool takes_attention_wide(const AttentionArguments<Half>&);
template bool takes_attention_wide(const AttentionArguments<Bfloat16>&);
template void attention_wide(const AttentionArguments<Half>&, cudaStream_t);
template void attention_wide(const AttentionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
