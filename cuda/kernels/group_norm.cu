#include "core/scalar_math.h"
#include "cuda/kernels/group_norm.h"
#include "cuda/kernels/reduce_block.h"

namespace dpm::cuda {
namespace {

constexpr std::int64_t kThreads = 256;
/// Of a group; fewer leave threads without enough to do.
constexpr std::int64_t kElementsPerThread = 4;

/// Calls `body(channel, pixel)` for this thread's part of a group; neighbouring threads get neighbouring channels.
template <typename Body>
__device__ void for_own_elements(int first_channel, int channels, int pixels, const Body& body) {
  const std::int64_t elements = static_cast<std::int64_t>(channels) * pixels;
  for (std::int64_t i = threadIdx.x; i < elements; i += blockDim.x) {
    body(first_channel + static_cast<int>(i % channels), i / channels);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) group_norm_kernel(GroupNormArguments<T> a) {
  __shared__ float sums[kWarp];
  const int channels = a.channels / a.groups;
  const int first = static_cast<int>(blockIdx.x) * channels;
  const T* x = a.x + blockIdx.y * a.x_sample_stride;
  T* y = a.y + blockIdx.y * a.y_sample_stride;
  const auto element = [&](int c, std::int64_t pixel) { return to_float(x[pixel * a.x_pixel_stride + c]); };
  const float count = static_cast<float>(channels) * static_cast<float>(a.pixels);

  float sum = 0.0F;
  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) { sum += element(c, pixel); });
  const float mean = block_sum(sum, sums) / count;
  float squares = 0.0F;
  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) {
    const float difference = element(c, pixel) - mean;
    squares += difference * difference;
  });
  const float inverse = rsqrtf(block_sum(squares, sums) / count + a.epsilon);

  for_own_elements(first, channels, a.pixels, [&](int c, std::int64_t pixel) {
    float value = (element(c, pixel) - mean) * inverse * a.gamma[c] + a.beta[c];
    if (a.scale_shift != nullptr) {
      const T* vector = a.scale_shift + static_cast<std::int64_t>(blockIdx.y) * 2 * a.channels;
      value = value * (1.0F + to_float(vector[c])) + to_float(vector[a.channels + c]);
    }
    y[pixel * a.y_pixel_stride + c] = from_float<T>(a.silu ? math::silu(value) : value);
  });
}

}  // namespace

template <typename T>
void group_norm(const GroupNormArguments<T>& arguments, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(arguments.groups), static_cast<unsigned>(arguments.batch));
  const std::int64_t elements = static_cast<std::int64_t>(arguments.channels / arguments.groups) * arguments.pixels;
  const std::int64_t warps = elements / (kElementsPerThread * kWarp) + 1;
  const dim3 block(static_cast<unsigned>(warps * kWarp < kThreads ? warps * kWarp : kThreads));
  DPM_LAUNCH(group_norm_kernel<T>, grid, block, stream, arguments);
}

template void group_norm(const GroupNormArguments<float>&, cudaStream_t);
template void group_norm(const GroupNormArguments<Half>&, cudaStream_t);
template void group_norm(const GroupNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
