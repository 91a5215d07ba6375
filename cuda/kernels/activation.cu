#include "core/scalar_math.h"
#include "cuda/kernels/activation.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"

namespace dpm::cuda {
namespace {

struct QuickGelu {
  static __device__ float of(float x) { return math::quick_gelu(x); }
};

struct Tanh {
  static __device__ float of(float x) { return math::tanh(x); }
};

template <typename Function, typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    activation_kernel(ActivationArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    Floats<N> value = load_floats<N>(a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride + c);
    for (int i = 0; i < N; ++i) value.value[i] = Function::of(value.value[i]);
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(value));
  });
}

template <typename Function, int N, typename T>
void launch(const ActivationArguments<T>& a, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.pixels, a.channels / N);
  constexpr auto kKernel = activation_kernel<Function, T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a, blocks);
}

template <typename Function, typename T>
void activate(const ActivationArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels)) {
    launch<Function, kWidth>(arguments, stream);
  } else {
    launch<Function, 1>(arguments, stream);
  }
}

}  // namespace

template <typename T>
void quick_gelu(const ActivationArguments<T>& arguments, cudaStream_t stream) {
  activate<QuickGelu>(arguments, stream);
}

template <typename T>
void tanh_of(const ActivationArguments<T>& arguments, cudaStream_t stream) {
  activate<Tanh>(arguments, stream);
}

template void quick_gelu(const ActivationArguments<float>&, cudaStream_t);
template void quick_gelu(const ActivationArguments<Half>&, cudaStream_t);
template void quick_gelu(const ActivationArguments<Bfloat16>&, cudaStream_t);
template void tanh_of(const ActivationArguments<float>&, cudaStream_t);
template void tanh_of(const ActivationArguments<Half>&, cudaStream_t);
template void tanh_of(const ActivationArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
