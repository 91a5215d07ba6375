#include "cuda/kernels/activation_backward.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {
namespace {

template <typename T>
__device__ float slope(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return silu_slope_as<T>(x);
    case Activation::kMish:
      return math::mish_slope(x);
    case Activation::kGelu:
      return math::gelu_slope(x);
    case Activation::kRelu:
      return math::relu_slope(x);
    case Activation::kQuickGelu:
      return math::quick_gelu_slope(x);
    case Activation::kTanh:
      return math::tanh_slope(x);
    default:
      return 1.0F;
  }
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    activation_backward_kernel(ActivationBackwardArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const Floats<N> x = load_floats<N>(a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride + c);
    Floats<N> value = load_floats<N>(a.d.data + n * a.d.sample_stride + pixel * a.d.pixel_stride + c);
    for (int i = 0; i < N; ++i) value.value[i] *= slope<T>(a.activation, x.value[i]);
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(value));
  });
}

template <int N, typename T>
void launch(const ActivationBackwardArguments<T>& arguments, cudaStream_t stream) {
  const PixelBlocks blocks(arguments.batch, arguments.pixels, arguments.channels / N);
  constexpr auto kKernel = activation_backward_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, arguments, blocks);
}

}  // namespace

template <typename T>
void activation_backward(const ActivationBackwardArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.d, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void activation_backward(const ActivationBackwardArguments<float>&, cudaStream_t);
template void activation_backward(const ActivationBackwardArguments<Half>&, cudaStream_t);
template void activation_backward(const ActivationBackwardArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
