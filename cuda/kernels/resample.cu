#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"
#include "cuda/kernels/resample.h"

namespace dpm::cuda {
namespace {

/// The places of the four pixels of the larger map that belong to one pixel of the smaller.
template <typename T>
struct Square {
  T* corner;
  std::int64_t right;
  std::int64_t down;

  __device__ Square(const Map<T>& map, std::int64_t n, std::int64_t pixel, int width, int c) {
    const int row = static_cast<int>(pixel) / width;
    const int column = static_cast<int>(pixel) - row * width;
    right = map.pixel_stride;
    down = 2 * width * right;
    corner = map.data + n * map.sample_stride + 2 * (row * down + column * right) + c;
  }
};

/// Enlarges a map; `width` is the smaller map's. The other three pixels beside and below the first are zeros, or the
/// same.
template <typename T, int N, bool Zeros>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    upsample_kernel(Map<const T> x, Map<T> y, int width, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const Vector<T, N> value = load_vector<N>(x.data + n * x.sample_stride + pixel * x.pixel_stride + c);
    const Vector<T, N> other = Zeros ? Vector<T, N>{} : value;
    const Square<T> square(y, n, pixel, width, c);
    store_vector(square.corner, value);
    store_vector(square.corner + square.right, other);
    store_vector(square.corner + square.down, other);
    store_vector(square.corner + square.down + square.right, other);
  });
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    average_pool_kernel(Map<const T> x, Map<T> y, int width, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const Square<const T> square(x, n, pixel, width, c);
    const Floats<N> first = load_floats<N>(square.corner);
    const Floats<N> second = load_floats<N>(square.corner + square.right);
    const Floats<N> third = load_floats<N>(square.corner + square.down);
    const Floats<N> fourth = load_floats<N>(square.corner + square.down + square.right);
    Floats<N> mean;
    for (int i = 0; i < N; ++i) {
      mean.value[i] = 0.25F * ((first.value[i] + second.value[i]) + (third.value[i] + fourth.value[i]));
    }
    store_vector(y.data + n * y.sample_stride + pixel * y.pixel_stride + c, from_floats<T>(mean));
  });
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    resize_kernel(ResampleArguments<T> a, int x_height, int x_width, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const std::int64_t row = pixel / a.width;
    const std::int64_t from_row = row * x_height / a.height;
    const std::int64_t from_column = (pixel - row * a.width) * x_width / a.width;
    const T* from = a.x.data + n * a.x.sample_stride + (from_row * x_width + from_column) * a.x.pixel_stride + c;
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, load_vector<N>(from));
  });
}

template <int N, typename T>
bool is_wide(const ResampleArguments<T>& a) {
  return takes_vectors<N>(a.x, a.channels) && takes_vectors<N>(a.y, a.channels);
}

template <int N, bool Zeros, typename T>
void launch_upsample(const ResampleArguments<T>& a, cudaStream_t stream) {
  const int width = a.width / 2;
  const PixelBlocks blocks(a.batch, a.height / 2 * width, a.channels / N);
  constexpr auto kKernel = upsample_kernel<T, N, Zeros>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a.x, a.y, width, blocks);
}

template <int N, typename T>
void launch_resize(const ResampleArguments<T>& a, int x_height, int x_width, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.height * a.width, a.channels / N);
  constexpr auto kKernel = resize_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a, x_height, x_width, blocks);
}

template <int N, typename T>
void launch_average_pool(const ResampleArguments<T>& a, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.height * a.width, a.channels / N);
  constexpr auto kKernel = average_pool_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a.x, a.y, a.width, blocks);
}

template <bool Zeros, typename T>
void upsample_as(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch_upsample<kVectorWidth<T>, Zeros>(arguments, stream);
  } else {
    launch_upsample<1, Zeros>(arguments, stream);
  }
}

}  // namespace

template <typename T>
void upsample(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  upsample_as<false>(arguments, stream);
}

template <typename T>
void resize(const ResampleArguments<T>& arguments, int x_height, int x_width, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch_resize<kVectorWidth<T>>(arguments, x_height, x_width, stream);
  } else {
    launch_resize<1>(arguments, x_height, x_width, stream);
  }
}

template <typename T>
void zero_upsample(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  upsample_as<true>(arguments, stream);
}

template <typename T>
void average_pool(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch_average_pool<kVectorWidth<T>>(arguments, stream);
  } else {
    launch_average_pool<1>(arguments, stream);
  }
}

template void upsample(const ResampleArguments<float>&, cudaStream_t);
template void upsample(const ResampleArguments<Half>&, cudaStream_t);
template void upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
template void resize(const ResampleArguments<float>&, int, int, cudaStream_t);
template void resize(const ResampleArguments<Half>&, int, int, cudaStream_t);
template void resize(const ResampleArguments<Bfloat16>&, int, int, cudaStream_t);
template void zero_upsample(const ResampleArguments<float>&, cudaStream_t);
template void zero_upsample(const ResampleArguments<Half>&, cudaStream_t);
template void zero_upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
template void average_pool(const ResampleArguments<float>&, cudaStream_t);
template void average_pool(const ResampleArguments<Half>&, cudaStream_t);
template void average_pool(const ResampleArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
