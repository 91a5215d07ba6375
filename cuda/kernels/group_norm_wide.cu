#include "cuda/kernels/group_norm_chunks.h"
#include "cuda/kernels/reduce_block.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = 512;

/// Calls `body(channel, pixel)` for this thread's part of a group; neighbouring threads get neighbouring channels.
template <typename Body>
__device__ void for_own_elements(int first_channel, int channels, int pixels, const Body& body) {
  for (int pixel = 0; pixel < pixels; ++pixel) {
    for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) {
      body(first_channel + c, static_cast<std::int64_t>(pixel));
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) wide_group_kernel(GroupNormArguments<T> a) {
  __shared__ float sums[kWarp];
  const auto groups = static_cast<unsigned>(a.groups);
  const int channels = a.channels / a.groups;
  const int first = static_cast<int>(blockIdx.x % groups) * channels;
  const std::int64_t n = blockIdx.x / groups;
  const T* x = a.x.data + n * a.x.sample_stride;
  T* y = a.y.data + n * a.y.sample_stride;
  const T* vector = a.vector == nullptr ? nullptr : a.vector + n * a.vector_stride;
  const auto element = [&](int c, std::int64_t pixel) {
    float value = to_float(x[pixel * a.x.pixel_stride + c]);
    if (a.bias != nullptr) value += a.bias[c];
    return vector == nullptr ? value : value + to_float(vector[c]);
  };
  const float share = 1.0F / (static_cast<float>(channels) * static_cast<float>(a.pixels));

  float sum = 0.0F;
  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) { sum += element(c, pixel); });
  const float mean = block_sum(sum, sums) * share;
  float squares = 0.0F;
  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) {
    const float difference = element(c, pixel) - mean;
    squares += difference * difference;
  });
  const float inverse = rsqrtf(block_sum(squares, sums) * share + a.epsilon);

  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) {
    float value = (element(c, pixel) - mean) * inverse * a.gamma[c] + a.beta[c];
    if (a.scale_shift != nullptr) {
      const T* row = a.scale_shift + n * a.scale_shift_stride;
      value = value * (1.0F + to_float(row[c])) + to_float(row[a.channels + c]);
    }
    y[pixel * a.y.pixel_stride + c] = from_float<T>(a.silu ? silu_as<T>(value) : value);
  });
}

}  // namespace

template <typename T>
void group_norm_of_wide_groups(const GroupNormArguments<T>& arguments, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(arguments.groups) * static_cast<unsigned>(arguments.batch));
  DPM_LAUNCH(wide_group_kernel<T>, grid, dim3(kThreads), stream, arguments);
}

template void group_norm_of_wide_groups(const GroupNormArguments<float>&, cudaStream_t);
template void group_norm_of_wide_groups(const GroupNormArguments<Half>&, cudaStream_t);
template void group_norm_of_wide_groups(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
