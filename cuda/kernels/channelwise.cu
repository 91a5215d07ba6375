#include "core/scalar_math.h"
#include "cuda/kernels/channelwise.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {
namespace {

template <int N, typename T>
__device__ void add(Floats<N>& sum, const T* operand) {
  const Floats<N> term = load_floats<N>(operand);
  for (int i = 0; i < N; ++i) sum.value[i] += term.value[i];
}

template <typename T>
__device__ float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return silu_as<T>(x);
    case Activation::kMish:
      return math::mish(x);
    case Activation::kGelu:
      return math::gelu(x);
    case Activation::kRelu:
      return math::relu(x);
    default:
      return x;
  }
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    channelwise_kernel(ChannelwiseArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    Floats<N> value = load_floats<N>(a.x.data + n * a.x.sample_stride + pixel * a.x.pixel_stride + c);
    if (a.bias != nullptr) add<N>(value, a.bias + pixel * a.bias_pixel_stride + c);
    if (a.vector != nullptr) add<N>(value, a.vector + n * a.vector_stride + c);
    if (a.residual.data != nullptr) {
      add<N>(value, a.residual.data + n * a.residual.sample_stride + pixel * a.residual.pixel_stride + c);
    }
    for (int i = 0; i < N; ++i) value.value[i] = a.scale * value.value[i] + a.shift;
    if (a.scale_shift != nullptr) {
      const T* row = a.scale_shift + n * a.scale_shift_stride + c;
      const Floats<N> scale = load_floats<N>(row);
      const Floats<N> shift = load_floats<N>(row + a.channels);
      for (int i = 0; i < N; ++i) value.value[i] = value.value[i] * (1.0F + scale.value[i]) + shift.value[i];
    }
    if (a.activation != Activation::kNone) {
      for (int i = 0; i < N; ++i) value.value[i] = activated<T>(a.activation, value.value[i]);
    }
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(value));
  });
}

template <int N, typename T>
bool is_wide(const ChannelwiseArguments<T>& a) {
  return takes_vectors<N>(a.x, a.channels) && takes_vectors<N>(a.y, a.channels) &&
         takes_vectors<N>(a.residual, a.channels) && takes_floats<N>(a.bias) && a.bias_pixel_stride % N == 0 &&
         (a.vector == nullptr || takes_vectors<N>(a.vector, a.vector_stride, a.channels)) &&
         (a.scale_shift == nullptr || takes_vectors<N>(a.scale_shift, a.scale_shift_stride, a.channels));
}

template <int N, typename T>
void launch(const ChannelwiseArguments<T>& arguments, cudaStream_t stream) {
  const PixelBlocks blocks(arguments.batch, arguments.pixels, arguments.channels / N);
  constexpr auto kKernel = channelwise_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, arguments, blocks);
}

}  // namespace

template <typename T>
void channelwise(const ChannelwiseArguments<T>& arguments, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch<kVectorWidth<T>>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void channelwise(const ChannelwiseArguments<float>&, cudaStream_t);
template void channelwise(const ChannelwiseArguments<Half>&, cudaStream_t);
template void channelwise(const ChannelwiseArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
