#include "cuda/kernels/group_norm_derivative_column.h"
#include "cuda/kernels/reduce_block.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = 512;

template <typename T>
__global__ void __launch_bounds__(kThreads) wide_group_kernel(GroupNormDerivativeArguments<T> a) {
  __shared__ float shared[kWarp];
  const GroupNormArguments<T>& norm = a.norm;
  const auto groups = static_cast<unsigned>(norm.groups);
  const int channels = norm.channels / norm.groups;
  const int first = static_cast<int>(blockIdx.x % groups) * channels;
  const std::int64_t n = blockIdx.x / groups;
  const T* x = norm.x.data + n * norm.x.sample_stride;
  const T* given = a.given.data + n * a.given.sample_stride;
  T* y = norm.y.data + n * norm.y.sample_stride;
  // Calls `body(channel, pixel)` for this thread's part of the group.
  const auto for_own_elements = [&](const auto& body) {
    for (std::int64_t pixel = 0; pixel < norm.pixels; ++pixel) {
      for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) body(first + c, pixel);
    }
  };
  const auto x_at = [&](int c, std::int64_t pixel) { return load_floats<1>(x + pixel * norm.x.pixel_stride + c); };
  const auto given_at = [&](int c, std::int64_t pixel) {
    return load_floats<1>(given + pixel * a.given.pixel_stride + c);
  };

  const float share = 1.0F / (static_cast<float>(channels) * static_cast<float>(norm.pixels));
  float sum = 0.0F;
  for_own_elements([&](int c, std::int64_t pixel) { sum += x_at(c, pixel).value[0]; });
  GroupNormColumn<1> column{};
  column.mean.value[0] = block_sum(sum, shared) * share;
  float squares = 0.0F;
  for_own_elements([&](int c, std::int64_t pixel) {
    const float difference = x_at(c, pixel).value[0] - column.mean.value[0];
    squares += difference * difference;
  });
  column.inverse.value[0] = rsqrtf(block_sum(squares, shared) * share + norm.epsilon);

  GroupNormGiven<1> means{};
  for_own_elements([&](int c, std::int64_t pixel) {
    column.load(norm, n, c);
    means.add(a, column, x_at(c, pixel), given_at(c, pixel));
  });
  means.sum.value[0] = block_sum(means.sum.value[0], shared) * share;
  means.product.value[0] = block_sum(means.product.value[0], shared) * share;
  for_own_elements([&](int c, std::int64_t pixel) {
    column.load(norm, n, c);
    const Floats<1> result = means.result(a, column, x_at(c, pixel), given_at(c, pixel));
    y[pixel * norm.y.pixel_stride + c] = from_float<T>(result.value[0]);
  });
}

}  // namespace

template <typename T>
void group_norm_derivative_of_wide_groups(const GroupNormDerivativeArguments<T>& arguments, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(arguments.norm.groups) * static_cast<unsigned>(arguments.norm.batch));
  DPM_LAUNCH(wide_group_kernel<T>, grid, dim3(kThreads), stream, arguments);
}

template void group_norm_derivative_of_wide_groups(const GroupNormDerivativeArguments<float>&, cudaStream_t);
template void group_norm_derivative_of_wide_groups(const GroupNormDerivativeArguments<Half>&, cudaStream_t);
template void group_norm_derivative_of_wide_groups(const GroupNormDerivativeArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
