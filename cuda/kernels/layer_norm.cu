#include <cmath>

#include "cuda/kernels/layer_norm.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {
namespace {

/// Warps of a block, with a pixel each.
constexpr unsigned kWarps = 8;

__device__ float warp_sum(float value) {
  for (unsigned lanes = kWarp / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kWholeWarp, value, lanes);
  return value;
}

template <typename T, int N>
__global__ void __launch_bounds__(kWarps* kWarp) layer_norm_kernel(LayerNormArguments<T> a) {
  const std::int64_t index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const std::int64_t n = index / a.pixels;
  if (n >= a.batch) return;
  const std::int64_t pixel = index - n * a.pixels;
  const T* x = a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride;
  T* y = a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride;
  const int first = static_cast<int>(threadIdx.x % kWarp) * N;
  constexpr int kStep = static_cast<int>(kWarp) * N;

  float sum = 0.0F;
  for (int c = first; c < a.channels; c += kStep) {
    const Floats<N> value = load_floats<N>(x + c);
    for (int i = 0; i < N; ++i) sum += value.value[i];
  }
  const float share = 1.0F / static_cast<float>(a.channels);
  const float mean = warp_sum(sum) * share;
  float squares = 0.0F;
  for (int c = first; c < a.channels; c += kStep) {
    const Floats<N> value = load_floats<N>(x + c);
    for (int i = 0; i < N; ++i) squares += (value.value[i] - mean) * (value.value[i] - mean);
  }
  const float inverse = 1.0F / sqrtf(warp_sum(squares) * share + a.epsilon);
  for (int c = first; c < a.channels; c += kStep) {
    Floats<N> value = load_floats<N>(x + c);
    const Floats<N> gamma = load_floats<N>(a.gamma + c);
    const Floats<N> beta = load_floats<N>(a.beta + c);
    for (int i = 0; i < N; ++i) {
      value.value[i] = (value.value[i] - mean) * inverse * gamma.value[i] + beta.value[i];
    }
    store_vector(y + c, from_floats<T>(value));
  }
}

template <int N, typename T>
void launch(const LayerNormArguments<T>& a, cudaStream_t stream) {
  const std::int64_t pixels = std::int64_t{a.batch} * a.pixels;
  const dim3 grid(static_cast<unsigned>((pixels + kWarps - 1) / kWarps));
  constexpr auto kKernel = layer_norm_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid, dim3(kWarps * kWarp), stream, a);
}

}  // namespace

template <typename T>
void layer_norm(const LayerNormArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels) && takes_floats<kWidth>(arguments.gamma) &&
      takes_floats<kWidth>(arguments.beta)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void layer_norm(const LayerNormArguments<float>&, cudaStream_t);
template void layer_norm(const LayerNormArguments<Half>&, cudaStream_t);
template void layer_norm(const LayerNormArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
