#include "cuda/kernels/group_norm.h"
#include "cuda/kernels/group_norm_block.h"
#include "cuda/kernels/group_norm_chunks.h"

namespace dpm::cuda {
namespace {

constexpr int kFew = GroupNormBlock::kFew;
constexpr int kMany = GroupNormBlock::kMany;

/// Normalises a cluster of groups per block, held in its threads' registers, K vectors each.
template <typename T, int N, int K, bool Completes>
__global__ void __launch_bounds__(GroupNormBlock::kThreads, GroupNormBlock::least_blocks(K))
    group_norm_kernel(GroupNormArguments<T> a, GroupNormLayout layout) {
  __shared__ float partial[GroupNormBlock::kThreads * N];
  __shared__ float folded[GroupNormBlock::kThreads];
  __shared__ float sums[kMaxClusterGroups];
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const GroupNormCluster cluster(layout, a.groups, N, blockIdx.x % clusters, blockIdx.x / clusters);
  const auto x_step = static_cast<int>(layout.rows * a.x.pixel_stride);
  const auto y_step = static_cast<int>(layout.rows * a.y.pixel_stride);

  GroupNormHeld<T, N, K> held;
  held.load(cluster.place_in(a.x, 0), x_step, cluster.own_pixels(layout, a.pixels));
  Floats<N> added{};
  if (held.count > 0) added = added_vector<N>(a, cluster.sample, cluster.channel);
  if constexpr (Completes) {
    const NormCompletion<T>& completion = a.completion;
    const T* residual = completion.residual.data == nullptr ? nullptr : cluster.place_in(completion.residual, 0);
    held.complete(added, residual, static_cast<int>(layout.rows * completion.residual.pixel_stride), completion.scale,
                  cluster.place_in(completion.z, 0), static_cast<int>(layout.rows * completion.z.pixel_stride));
    added = {};
  }

  const float share = 1.0F / (static_cast<float>(layout.channels_of_group) * static_cast<float>(a.pixels));
  Floats<N> mean = block_moments(layout, cluster, held, added, share, partial, folded, sums);
  GroupNormAffine<N> affine;
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) {
    affine.template normalise<T>(i, rsqrtf(sums[group] * share + a.epsilon), mean);
  });
  // The parameters are loaded this late because there were no free registers for them before.
  if (held.count > 0) affine.load(a, cluster.sample, cluster.channel);
  store_normed(cluster.place_in(a.y, 0), y_step, held, mean, affine, a.silu);
}

/// Returns whether there is a cluster for vectors of N channels and it is more than a block can hold.
template <typename T, int N>
bool needs_workspace(int pixels, int channels, int groups) {
  const GroupNormLayout layout = GroupNormBlock::layout<T, N>(pixels, channels, groups);
  return layout.threads > 0 && !group_norm_fits(layout, pixels, kMany);
}

template <typename T, int N, int K>
void launch(const GroupNormArguments<T>& arguments, const GroupNormLayout& layout, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(layout.clusters) * static_cast<unsigned>(arguments.batch));
  const dim3 block(static_cast<unsigned>(layout.threads));
  if constexpr (N == kVectorWidth<T>) {
    if (arguments.completion.z.data != nullptr) {
      constexpr auto kKernel = group_norm_kernel<T, N, K, true>;
      DPM_LAUNCH(kKernel, grid, block, stream, arguments, layout);
      return;
    }
  }
  constexpr auto kKernel = group_norm_kernel<T, N, K, false>;
  DPM_LAUNCH(kKernel, grid, block, stream, arguments, layout);
}

/// Launches with vectors of N channels; returns false where they cannot be used.
template <int N, typename T>
bool norm(const GroupNormArguments<T>& a, cudaStream_t stream) {
  const GroupNormLayout layout = GroupNormBlock::layout<T, N>(a.pixels, a.channels, a.groups);
  if (group_norm_fits(layout, a.pixels, kFew)) {
    launch<T, N, kFew>(a, layout, stream);
  } else if (group_norm_fits(layout, a.pixels, kMany)) {
    launch<T, N, kMany>(a, layout, stream);
  } else {
    return group_norm_by_chunks<N>(a, stream);
  }
  return true;
}

template <int N, typename T>
bool is_wide(const GroupNormArguments<T>& a) {
  return takes_vectors<N>(a.x, a.channels) && takes_vectors<N>(a.y, a.channels) && takes_floats<N>(a.gamma) &&
         takes_floats<N>(a.beta) && takes_floats<N>(a.bias) &&
         (a.scale_shift == nullptr || takes_vectors<N>(a.scale_shift, a.scale_shift_stride, a.channels)) &&
         (a.vector == nullptr || takes_vectors<N>(a.vector, a.vector_stride, a.channels));
}

}  // namespace

std::int64_t group_norm_workspace(int batch, int pixels, int channels, int groups) {
  constexpr int kFloats = kVectorWidth<float>;
  constexpr int kHalves = kVectorWidth<Half>;
  if (!needs_workspace<float, 1>(pixels, channels, groups) && !needs_workspace<Half, 1>(pixels, channels, groups) &&
      !needs_workspace<float, kFloats>(pixels, channels, groups) &&
      !needs_workspace<Half, kHalves>(pixels, channels, groups)) {
    return 0;
  }
  return std::int64_t{2} * batch * groups * GroupNormChunks(pixels).count;
}

template <typename T>
bool takes_completion(const GroupNormArguments<T>& a) {
  constexpr int kWidth = kVectorWidth<T>;
  return is_wide<kWidth>(a) && takes_vectors<kWidth>(a.completion.z, a.channels) &&
         takes_vectors<kWidth>(a.completion.residual, a.channels) &&
         group_norm_fits(GroupNormBlock::layout<T, kWidth>(a.pixels, a.channels, a.groups), a.pixels, kMany);
}

template <typename T>
void group_norm(const GroupNormArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (is_wide<kWidth>(arguments) && norm<kWidth>(arguments, stream)) return;
  if (!norm<1>(arguments, stream)) group_norm_of_wide_groups(arguments, stream);
}

template bool takes_completion(const GroupNormArguments<float>&);
template bool takes_completion(const GroupNormArguments<Half>&);
template bool takes_completion(const GroupNormArguments<Bfloat16>&);
template void group_norm(const GroupNormArguments<float>&, cudaStream_t);
template void group_norm(const GroupNormArguments<Half>&, cudaStream_t);
template void group_norm(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
