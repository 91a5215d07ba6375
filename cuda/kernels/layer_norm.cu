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

/// Moments of a pixel's channels, which every lane of its warp gets.
struct PixelMoments {
  float mean;
  float inverse_deviation;
};

template <int N, typename T>
__device__ PixelMoments moments_of(const T* x, int first, int channels, float epsilon) {
  constexpr int kStep = static_cast<int>(kWarp) * N;
  float sum = 0.0F;
  for (int c = first; c < channels; c += kStep) {
    const Floats<N> value = load_floats<N>(x + c);
    for (int i = 0; i < N; ++i) sum += value.value[i];
  }
  const float share = 1.0F / static_cast<float>(channels);
  const float mean = warp_sum(sum) * share;
  float squares = 0.0F;
  for (int c = first; c < channels; c += kStep) {
    const Floats<N> value = load_floats<N>(x + c);
    for (int i = 0; i < N; ++i) squares += (value.value[i] - mean) * (value.value[i] - mean);
  }
  return {mean, 1.0F / sqrtf(warp_sum(squares) * share + epsilon)};
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

  const auto [mean, inverse] = moments_of<N>(x, first, a.channels, a.epsilon);
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

template <typename T, int N>
__global__ void __launch_bounds__(kWarps* kWarp, 1) layer_norm_backward_kernel(LayerNormBackwardArguments<T> a) {
  const std::int64_t index = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const std::int64_t n = index / a.pixels;
  if (n >= a.batch) return;
  const std::int64_t pixel = index - n * a.pixels;
  const T* x = a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride;
  const T* d = a.d.data + n * a.d.sample_stride + pixel * a.d.pixel_stride;
  T* y = a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride;
  T* products = a.products.data;
  if (products != nullptr) products += n * a.products.sample_stride + pixel * a.products.pixel_stride;
  const int first = static_cast<int>(threadIdx.x % kWarp) * N;
  constexpr int kStep = static_cast<int>(kWarp) * N;
  const auto [mean, inverse] = moments_of<N>(x, first, a.channels, a.epsilon);

  float sum = 0.0F;
  float projection = 0.0F;
  for (int c = first; c < a.channels; c += kStep) {
    const Floats<N> value = load_floats<N>(x + c);
    const Floats<N> given = load_floats<N>(d + c);
    const Floats<N> gamma = load_floats<N>(a.gamma + c);
    for (int i = 0; i < N; ++i) {
      const float moved = given.value[i] * gamma.value[i];
      sum += moved;
      projection += moved * ((value.value[i] - mean) * inverse);
    }
  }
  const float share = 1.0F / static_cast<float>(a.channels);
  sum = warp_sum(sum) * share;
  projection = warp_sum(projection) * share;
  for (int c = first; c < a.channels; c += kStep) {
    Floats<N> value = load_floats<N>(x + c);
    Floats<N> given = load_floats<N>(d + c);
    const Floats<N> gamma = load_floats<N>(a.gamma + c);
    for (int i = 0; i < N; ++i) {
      const float normalised = (value.value[i] - mean) * inverse;
      value.value[i] = inverse * (given.value[i] * gamma.value[i] - sum - normalised * projection);
      given.value[i] *= normalised;
    }
    if (products != nullptr) store_vector(products + c, from_floats<T>(given));
    store_vector(y + c, from_floats<T>(value));
  }
}

/// Number of blocks for all pixels of a batch.
unsigned blocks_for(int batch, int pixels) {
  return static_cast<unsigned>((std::int64_t{batch} * pixels + kWarps - 1) / kWarps);
}

template <int N, typename T>
void launch(const LayerNormArguments<T>& a, cudaStream_t stream) {
  constexpr auto kKernel = layer_norm_kernel<T, N>;
  DPM_LAUNCH(kKernel, dim3(blocks_for(a.batch, a.pixels)), dim3(kWarps * kWarp), stream, a);
}

template <int N, typename T>
void launch(const LayerNormBackwardArguments<T>& a, cudaStream_t stream) {
  constexpr auto kKernel = layer_norm_backward_kernel<T, N>;
  DPM_LAUNCH(kKernel, dim3(blocks_for(a.batch, a.pixels)), dim3(kWarps * kWarp), stream, a);
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

template <typename T>
void layer_norm_backward(const LayerNormBackwardArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  const auto takes = [&](const auto& map) { return takes_vectors<kWidth>(map, arguments.channels); };
  if (takes(arguments.x) && takes(arguments.d) && takes(arguments.y) && takes(arguments.products) &&
      takes_floats<kWidth>(arguments.gamma)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void layer_norm(const LayerNormArguments<float>&, cudaStream_t);
template void layer_norm(const LayerNormArguments<Half>&, cudaStream_t);
template void layer_norm(const LayerNormArguments<Bfloat16>&, cudaStream_t);
template void layer_norm_backward(const LayerNormBackwardArguments<float>&, cudaStream_t);
template void layer_norm_backward(const LayerNormBackwardArguments<Half>&, cudaStream_t);
template void layer_norm_backward(const LayerNormBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
