#include "cuda/kernels/group_norm_block.h"
#include "cuda/kernels/group_norm_derivative.h"
#include "cuda/kernels/group_norm_derivative_column.h"

namespace dpm::cuda {
namespace {

/// Computes a cluster of groups per block, held in its threads' registers, K vectors of x each. Where registers do not
/// suffice for many vectors beside the derivative's other numbers, these are held for the moments only and read again.
template <typename T, int N, int K>
__global__ void __launch_bounds__(GroupNormBlock::kThreads, 1)
    group_norm_derivative_kernel(GroupNormDerivativeArguments<T> a, GroupNormLayout layout) {
  __shared__ float partial[GroupNormBlock::kThreads * N];
  __shared__ float folded[GroupNormBlock::kThreads];
  __shared__ float sums[kMaxClusterGroups];
  const GroupNormArguments<T>& norm = a.norm;
  const auto clusters = static_cast<unsigned>(layout.clusters);
  const GroupNormCluster cluster(layout, norm.groups, N, blockIdx.x % clusters, blockIdx.x / clusters);
  const auto x_step = static_cast<int>(layout.rows * norm.x.pixel_stride);
  const auto given_step = static_cast<int>(layout.rows * a.given.pixel_stride);
  const auto y_step = static_cast<int>(layout.rows * norm.y.pixel_stride);

  const T* x = cluster.place_in(norm.x, 0);
  GroupNormHeld<T, N, K> held;
  held.load(x, x_step, cluster.own_pixels(layout, norm.pixels));
  // Calls `body(k, vector k of x)` for the thread's own vectors.
  const auto for_own = [&](const auto& body) {
    if constexpr (K == GroupNormBlock::kFew) {
      DPM_UNROLL
      for (int k = 0; k < K; ++k) {
        if (k < held.count) body(k, held.vector[k].unpack());
      }
    } else {
      for (int k = 0; k < held.count; ++k) body(k, load_floats<N>(x + k * x_step));
    }
  };
  const float share = 1.0F / (static_cast<float>(layout.channels_of_group) * static_cast<float>(norm.pixels));
  GroupNormColumn<N> column{};
  column.mean = block_moments(layout, cluster, held, Floats<N>{}, share, partial, folded, sums);
  for_vector_groups<N>(layout, cluster.column,
                       [&](int i, int group) { column.inverse.value[i] = rsqrtf(sums[group] * share + norm.epsilon); });
  if (held.count > 0) column.load(norm, cluster.sample, cluster.channel);

  GroupNormGiven<N> own{};
  const T* given = cluster.place_in(a.given, 0);
  for_own([&](int k, const Floats<N>& value) { own.add(a, column, value, load_floats<N>(given + k * given_step)); });
  group_sums(layout, cluster.groups, own.sum, partial, folded, sums);
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) { own.sum.value[i] = sums[group] * share; });
  group_sums(layout, cluster.groups, own.product, partial, folded, sums);
  for_vector_groups<N>(layout, cluster.column, [&](int i, int group) { own.product.value[i] = sums[group] * share; });

  T* y = cluster.place_in(norm.y, 0);
  for_own([&](int k, const Floats<N>& value) {
    const Floats<N> d = load_floats<N>(given + k * given_step);
    store_vector(y + k * y_step, from_floats<T>(own.result(a, column, value, d)));
  });
}

template <typename T, int N, int K>
void launch(const GroupNormDerivativeArguments<T>& arguments, const GroupNormLayout& layout, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(layout.clusters) * static_cast<unsigned>(arguments.norm.batch));
  constexpr auto kKernel = group_norm_derivative_kernel<T, N, K>;
  DPM_LAUNCH(kKernel, grid, dim3(static_cast<unsigned>(layout.threads)), stream, arguments, layout);
}

/// Launches with vectors of N channels; returns false where they cannot be used.
template <int N, typename T>
bool derivative(const GroupNormDerivativeArguments<T>& a, cudaStream_t stream) {
  const GroupNormLayout layout = GroupNormBlock::layout<T, N>(a.norm.pixels, a.norm.channels, a.norm.groups);
  if (group_norm_fits(layout, a.norm.pixels, GroupNormBlock::kFew)) {
    launch<T, N, GroupNormBlock::kFew>(a, layout, stream);
  } else if (group_norm_fits(layout, a.norm.pixels, GroupNormBlock::kMany)) {
    launch<T, N, GroupNormBlock::kMany>(a, layout, stream);
  } else {
    return group_norm_derivative_by_chunks<N>(a, stream);
  }
  return true;
}

template <int N, typename T>
bool is_wide(const GroupNormDerivativeArguments<T>& a) {
  const GroupNormArguments<T>& norm = a.norm;
  return takes_vectors<N>(norm.x, norm.channels) && takes_vectors<N>(norm.y, norm.channels) &&
         takes_vectors<N>(a.given, norm.channels) && takes_floats<N>(norm.gamma) && takes_floats<N>(norm.beta) &&
         (norm.scale_shift == nullptr || takes_vectors<N>(norm.scale_shift, norm.scale_shift_stride, norm.channels));
}

}  // namespace

std::int64_t group_norm_derivative_workspace(int batch, int pixels, int channels, int groups) {
  // The workspace holds moments and sums, two numbers each.
  return 2 * group_norm_workspace(batch, pixels, channels, groups);
}

template <typename T>
void group_norm_derivative(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (is_wide<kWidth>(arguments) && derivative<kWidth>(arguments, stream)) return;
  if (!derivative<1>(arguments, stream)) group_norm_derivative_of_wide_groups(arguments, stream);
}

template void group_norm_derivative(const GroupNormDerivativeArguments<float>&, cudaStream_t);
template void group_norm_derivative(const GroupNormDerivativeArguments<Half>&, cudaStream_t);
template void group_norm_derivative(const GroupNormDerivativeArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
