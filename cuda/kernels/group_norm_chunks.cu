#include "cuda/kernels/group_norm_chunks.h"
#include "cuda/kernels/group_norm_merge.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = GroupNormChunks::kThreads;
/// Vectors of a thread at once.
constexpr int kHeld = 4;

/// A thread's statistics of its elements so far, separately for each place in a vector.
template <int N>
struct Statistics {
  float count = 0.0F;
  Floats<N> mean{};
  Floats<N> squares{};

  /// The merge by Chan, Golub & LeVeque 1979 has no difference of large sums.
  template <typename T, int K>
  __device__ void add(const GroupNormHeld<T, N, K>& held) {
    const auto added = static_cast<float>(held.count);
    Floats<N> next = held.sum();
    for (int i = 0; i < N; ++i) next.value[i] /= added;
    const Floats<N> next_squares = held.sum_of_squares(next);
    const float share = added / (count + added);
    for (int i = 0; i < N; ++i) {
      const float difference = next.value[i] - mean.value[i];
      mean.value[i] += difference * share;
      squares.value[i] += next_squares.value[i] + difference * difference * (count * share);
    }
    count += added;
  }
};

/// Writes the mean and the sum of squared differences of a cluster's groups in one chunk.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads, 1)
    chunk_kernel(GroupNormArguments<T> a, GroupNormLayout layout, GroupNormChunks chunks) {
  __shared__ float partial[kThreads * N];
  __shared__ float folded[kThreads];
  __shared__ float sums[kMaxClusterGroups];
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const auto count = static_cast<unsigned>(chunks.count);
  const unsigned chunk = blockIdx.x / clusters % count;
  const GroupNormCluster cluster(layout, a.groups, N, blockIdx.x % clusters, blockIdx.x / clusters / count);
  const int first = static_cast<int>(chunk) * chunks.pixels;
  const int end = a.pixels - first < chunks.pixels ? a.pixels : first + chunks.pixels;
  const std::int64_t step = layout.rows * a.x.pixel_stride;
  const T* x = cluster.place_in(a.x, first);

  Statistics<N> own;
  for (int left = cluster.own_pixels(layout, end - first); left > 0; left -= kHeld) {
    GroupNormHeld<T, N, kHeld> held;
    held.load(x, step, left);
    own.add(held);
    x += kHeld * step;
  }

  if (own.count > 0) {
    const Floats<N> added = added_vector<N>(a, cluster.sample, cluster.channel);
    DPM_UNROLL
    for (int i = 0; i < N; ++i) own.mean.value[i] += added.value[i];
  }

  const float share = 1.0F / (static_cast<float>(layout.channels_of_group) * static_cast<float>(end - first));
  Floats<N> terms;
  for (int i = 0; i < N; ++i) terms.value[i] = own.count * own.mean.value[i];
  group_sums(layout, cluster.groups, terms, partial, folded, sums);
  const int group = static_cast<int>(threadIdx.x);
  const float mean = group < cluster.groups ? sums[group] * share : 0.0F;
  for_vector_groups<N>(layout, cluster.column, [&](int i, int of_vector) {
    const float difference = own.mean.value[i] - sums[of_vector] * share;
    terms.value[i] = own.squares.value[i] + own.count * difference * difference;
  });
  group_sums(layout, cluster.groups, terms, partial, folded, sums);
  if (group >= cluster.groups) return;
  const std::int64_t row = cluster.sample * a.groups + cluster.first_group + group;
  float* target = a.workspace + 2 * (row * chunks.count + chunk);
  target[0] = mean;
  target[1] = sums[group];
}

/// Writes the result for as many pixels of a cluster as the block holds.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads, 1)
    apply_kernel(GroupNormArguments<T> a, GroupNormLayout layout, GroupNormChunks chunks) {
  __shared__ float means[kMaxClusterGroups];
  __shared__ float inverses[kMaxClusterGroups];
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const int pixels = kHeld * layout.rows;
  const auto tiles = static_cast<unsigned>((a.pixels - 1) / pixels + 1);
  const GroupNormCluster cluster(layout, a.groups, N, blockIdx.x % clusters, blockIdx.x / clusters / tiles);
  const int first = static_cast<int>(blockIdx.x / clusters % tiles) * pixels;

  // The loads start before the merging, because they take as long.
  GroupNormHeld<T, N, kHeld> held;
  held.load(cluster.place_in(a.x, first), layout.rows * a.x.pixel_stride, cluster.own_pixels(layout, a.pixels - first));
  GroupNormAffine<N> affine;
  Floats<N> added{};
  if (held.count > 0) {
    affine.load(a, cluster.sample, cluster.channel);
    added = added_vector<N>(a, cluster.sample, cluster.channel);
  }
  merge_moments(a, chunks, cluster, means, inverses);
  __syncthreads();
  Floats<N> mean;
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) {
    mean.value[i] = means[group] - added.value[i];
    affine.template normalise<T>(i, inverses[group], mean);
  });
  store_normed(cluster.place_in(a.y, first), layout.rows * a.y.pixel_stride, held, mean, affine, a.silu);
}

}  // namespace

template <int N, typename T>
void group_norm_chunk_moments(const GroupNormArguments<T>& arguments, cudaStream_t stream) {
  const GroupNormChunks chunks(arguments.pixels);
  const GroupNormLayout layout = GroupNormChunks::layout<T, N>(arguments.pixels, arguments.channels, arguments.groups);
  const dim3 grid(static_cast<unsigned>(layout.clusters * chunks.count) * static_cast<unsigned>(arguments.batch));
  constexpr auto kKernel = chunk_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid, dim3(static_cast<unsigned>(layout.threads)), stream, arguments, layout, chunks);
}

template <int N, typename T>
bool group_norm_by_chunks(const GroupNormArguments<T>& arguments, cudaStream_t stream) {
  const GroupNormChunks chunks(arguments.pixels);
  const GroupNormLayout layout = GroupNormChunks::layout<T, N>(arguments.pixels, arguments.channels, arguments.groups);
  if (layout.threads == 0) return false;
  group_norm_chunk_moments<N>(arguments, stream);
  const auto tiles = static_cast<unsigned>((arguments.pixels - 1) / (kHeld * layout.rows) + 1);
  const dim3 grid(static_cast<unsigned>(layout.clusters) * static_cast<unsigned>(arguments.batch) * tiles);
  constexpr auto kKernel = apply_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid, dim3(static_cast<unsigned>(layout.threads)), stream, arguments, layout, chunks);
  return true;
}

template void group_norm_chunk_moments<1>(const GroupNormArguments<float>&, cudaStream_t);
template void group_norm_chunk_moments<1>(const GroupNormArguments<Half>&, cudaStream_t);
template void group_norm_chunk_moments<1>(const GroupNormArguments<Bfloat16>&, cudaStream_t);
template void group_norm_chunk_moments<kVectorWidth<float>>(const GroupNormArguments<float>&, cudaStream_t);
template void group_norm_chunk_moments<kVectorWidth<Half>>(const GroupNormArguments<Half>&, cudaStream_t);
template void group_norm_chunk_moments<kVectorWidth<Bfloat16>>(const GroupNormArguments<Bfloat16>&, cudaStream_t);
template bool group_norm_by_chunks<1>(const GroupNormArguments<float>&, cudaStream_t);
template bool group_norm_by_chunks<1>(const GroupNormArguments<Half>&, cudaStream_t);
template bool group_norm_by_chunks<1>(const GroupNormArguments<Bfloat16>&, cudaStream_t);
template bool group_norm_by_chunks<kVectorWidth<float>>(const GroupNormArguments<float>&, cudaStream_t);
template bool group_norm_by_chunks<kVectorWidth<Half>>(const GroupNormArguments<Half>&, cudaStream_t);
template bool group_norm_by_chunks<kVectorWidth<Bfloat16>>(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
