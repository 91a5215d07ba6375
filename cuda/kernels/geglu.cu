#include "core/scalar_math.h"
#include "cuda/kernels/geglu.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"

namespace dpm::cuda {
namespace {

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads) geglu_kernel(GegluArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const T* x = a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride + c;
    Floats<N> value = load_floats<N>(x);
    const Floats<N> gate = load_floats<N>(x + a.channels);
    for (int i = 0; i < N; ++i) value.value[i] *= math::gelu(gate.value[i]);
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(value));
  });
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    geglu_backward_kernel(GegluBackwardArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const T* x = a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride + c;
    Floats<N> value = load_floats<N>(x);
    Floats<N> gate = load_floats<N>(x + a.channels);
    const Floats<N> d = load_floats<N>(a.d.data + n * a.d.sample_stride + pixel * a.d.pixel_stride + c);
    for (int i = 0; i < N; ++i) {
      const float of_gate = d.value[i] * value.value[i] * math::gelu_slope(gate.value[i]);
      value.value[i] = d.value[i] * math::gelu(gate.value[i]);
      gate.value[i] = of_gate;
    }
    T* y = a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c;
    store_vector(y, from_floats<T>(value));
    store_vector(y + a.channels, from_floats<T>(gate));
  });
}

template <int N, typename T>
void launch(const GegluBackwardArguments<T>& a, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.pixels, a.channels / N);
  constexpr auto kKernel = geglu_backward_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a, blocks);
}

template <int N, typename T>
void launch(const GegluArguments<T>& a, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.pixels, a.channels / N);
  constexpr auto kKernel = geglu_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a, blocks);
}

}  // namespace

template <typename T>
void geglu(const GegluArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template <typename T>
void geglu_backward(const GegluBackwardArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.d, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void geglu(const GegluArguments<float>&, cudaStream_t);
template void geglu(const GegluArguments<Half>&, cudaStream_t);
template void geglu(const GegluArguments<Bfloat16>&, cudaStream_t);
template void geglu_backward(const GegluBackwardArguments<float>&, cudaStream_t);
template void geglu_backward(const GegluBackwardArguments<Half>&, cudaStream_t);
template void geglu_backward(const GegluBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
