#include "cuda/kernels/group_norm_derivative_column.h"
#include "cuda/kernels/group_norm_merge.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = GroupNormChunks::kThreads;
/// Vectors of a thread that a block writes.
constexpr int kVectors = 4;

/// Returns the place of the sums, behind the moments of all chunks.
template <typename T>
__device__ float* sums_of(const GroupNormArguments<T>& a, const GroupNormChunks& chunks) {
  return a.workspace + std::int64_t{2} * a.batch * a.groups * chunks.count;
}

/// Returns a thread's column, from the moments of all chunks.
template <typename T, int N>
__device__ GroupNormColumn<N> column_of(const GroupNormArguments<T>& a, const GroupNormLayout& layout,
                                        const GroupNormChunks& chunks, const GroupNormCluster& cluster, float* means,
                                        float* inverses) {
  GroupNormColumn<N> column{};
  if (!cluster.is_idle) column.load(a, cluster.sample, cluster.channel);
  merge_moments(a, chunks, cluster, means, inverses);
  __syncthreads();
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) {
    column.mean.value[i] = means[group];
    column.inverse.value[i] = inverses[group];
  });
  return column;
}

/// Writes the two sums of a cluster's groups in one chunk.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads, 1)
    chunk_kernel(GroupNormDerivativeArguments<T> a, GroupNormLayout layout, GroupNormChunks chunks) {
  __shared__ float partial[kThreads * N];
  __shared__ float folded[kThreads];
  __shared__ float sums[kMaxClusterGroups];
  __shared__ float means[kMaxClusterGroups];
  __shared__ float inverses[kMaxClusterGroups];
  const GroupNormArguments<T>& norm = a.norm;
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const auto count = static_cast<unsigned>(chunks.count);
  const unsigned chunk = blockIdx.x / clusters % count;
  const GroupNormCluster cluster(layout, norm.groups, N, blockIdx.x % clusters, blockIdx.x / clusters / count);
  const int first = static_cast<int>(chunk) * chunks.pixels;
  const int end = norm.pixels - first < chunks.pixels ? norm.pixels : first + chunks.pixels;
  const auto column = column_of<T, N>(norm, layout, chunks, cluster, means, inverses);

  GroupNormGiven<N> own{};
  const T* x = cluster.place_in(norm.x, first);
  const T* given = cluster.place_in(a.given, first);
  for (int left = cluster.own_pixels(layout, end - first); left > 0; --left) {
    own.add(a, column, load_floats<N>(x), load_floats<N>(given));
    x += layout.rows * norm.x.pixel_stride;
    given += layout.rows * a.given.pixel_stride;
  }
  group_sums(layout, cluster.groups, own.sum, partial, folded, sums);
  const int group = static_cast<int>(threadIdx.x);
  const float sum = group < cluster.groups ? sums[group] : 0.0F;
  group_sums(layout, cluster.groups, own.product, partial, folded, sums);
  if (group >= cluster.groups) return;
  const std::int64_t row = std::int64_t{cluster.sample} * norm.groups + cluster.first_group + group;
  float* target = sums_of(norm, chunks) + 2 * (row * chunks.count + chunk);
  target[0] = sum;
  target[1] = sums[group];
}

/// Writes the result for some pixels of a cluster.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads, 1)
    apply_kernel(GroupNormDerivativeArguments<T> a, GroupNormLayout layout, GroupNormChunks chunks) {
  __shared__ float means[kMaxClusterGroups];
  __shared__ float inverses[kMaxClusterGroups];
  __shared__ float sums[kMaxClusterGroups];
  __shared__ float products[kMaxClusterGroups];
  const GroupNormArguments<T>& norm = a.norm;
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const int pixels = kVectors * layout.rows;
  const auto tiles = static_cast<unsigned>((norm.pixels - 1) / pixels + 1);
  const GroupNormCluster cluster(layout, norm.groups, N, blockIdx.x % clusters, blockIdx.x / clusters / tiles);
  const int first = static_cast<int>(blockIdx.x / clusters % tiles) * pixels;

  const float share = 1.0F / (static_cast<float>(layout.channels_of_group) * static_cast<float>(norm.pixels));
  for_groups_of_chunks(norm, chunks, cluster, sums_of(norm, chunks), [&](int group, const float* source, int lane) {
    float sum = 0.0F;
    float product = 0.0F;
    for (int chunk = lane; chunk < chunks.count; chunk += static_cast<int>(kWarp)) {
      sum += source[2 * chunk];
      product += source[2 * chunk + 1];
    }
    sum = warp_sum(sum);
    product = warp_sum(product);
    if (lane != 0) return;
    sums[group] = sum * share;
    products[group] = product * share;
  });
  // The barrier in column_of also makes the sums above visible.
  const auto column = column_of<T, N>(norm, layout, chunks, cluster, means, inverses);
  GroupNormGiven<N> of_groups{};
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) {
    of_groups.sum.value[i] = sums[group];
    of_groups.product.value[i] = products[group];
  });

  const T* x = cluster.place_in(norm.x, first);
  const T* given = cluster.place_in(a.given, first);
  T* y = cluster.place_in(norm.y, first);
  const int own = cluster.own_pixels(layout, norm.pixels - first);
  for (int k = 0; k < kVectors && k < own; ++k) {
    store_vector(y, from_floats<T>(of_groups.result(a, column, load_floats<N>(x), load_floats<N>(given))));
    x += layout.rows * norm.x.pixel_stride;
    given += layout.rows * a.given.pixel_stride;
    y += layout.rows * norm.y.pixel_stride;
  }
}

}  // namespace

template <int N, typename T>
bool group_norm_derivative_by_chunks(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream) {
  const GroupNormArguments<T>& norm = arguments.norm;
  const GroupNormChunks chunks(norm.pixels);
  const GroupNormLayout layout = GroupNormChunks::layout<T, N>(norm.pixels, norm.channels, norm.groups);
  if (layout.threads == 0) return false;
  group_norm_chunk_moments<N>(norm, stream);
  const unsigned clusters = static_cast<unsigned>(layout.clusters) * static_cast<unsigned>(norm.batch);
  const dim3 block(static_cast<unsigned>(layout.threads));
  constexpr auto kChunk = chunk_kernel<T, N>;
  DPM_LAUNCH(kChunk, dim3(clusters * static_cast<unsigned>(chunks.count)), block, stream, arguments, layout, chunks);
  const auto tiles = static_cast<unsigned>((norm.pixels - 1) / (kVectors * layout.rows) + 1);
  constexpr auto kApply = apply_kernel<T, N>;
  DPM_LAUNCH(kApply, dim3(clusters * tiles), block, stream, arguments, layout, chunks);
  return true;
}

template bool group_norm_derivative_by_chunks<1>(const GroupNormDerivativeArguments<float>&, cudaStream_t);
template bool group_norm_derivative_by_chunks<1>(const GroupNormDerivativeArguments<Half>&, cudaStream_t);
template bool group_norm_derivative_by_chunks<1>(const GroupNormDerivativeArguments<Bfloat16>&, cudaStream_t);
template bool group_norm_derivative_by_chunks<kVectorWidth<float>>(const GroupNormDerivativeArguments<float>&,
                                                                   cudaStream_t);
template bool group_norm_derivative_by_chunks<kVectorWidth<Half>>(const GroupNormDerivativeArguments<Half>&,
                                                                  cudaStream_t);
template bool group_norm_derivative_by_chunks<kVectorWidth<Bfloat16>>(const GroupNormDerivativeArguments<Bfloat16>&,
                                                                      cudaStream_t);

}  // namespace dpm::cuda
