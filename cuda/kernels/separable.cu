#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"
#include "cuda/kernels/separable.h"

namespace dpm::cuda {
namespace {

template <int N>
__device__ void add_scaled(Floats<N>& sum, float factor, const Floats<N>& term) {
  for (int i = 0; i < N; ++i) sum.value[i] += factor * term.value[i];
}

/// Sums over the pixels of one row.
template <int N, typename T>
__device__ Floats<N> combine(const T* row, std::int64_t pixel_stride, const float* factors, int count) {
  Floats<N> sum{};
  for (int j = 0; j < count; ++j) {
    const float factor = factors[j];
    // Zero factors are skipped, because matrices that select or repeat pixels are mostly zeros.
    if (factor != 0.0F) add_scaled(sum, factor, load_floats<N>(row + j * pixel_stride));
  }
  return sum;
}

template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads) separable_kernel(SeparableArguments<T> a, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int c = vector * N;
    const int row = static_cast<int>(pixel) / a.width;
    const int column = static_cast<int>(pixel) - row * a.width;
    const float* row_factors = a.rows + static_cast<std::int64_t>(row) * a.x_height;
    const float* column_factors = a.columns + static_cast<std::int64_t>(column) * a.x_width;
    const T* x = a.x.data + n * a.x.sample_stride + c;
    Floats<N> sum{};
    for (int i = 0; i < a.x_height; ++i, x += a.x_width * a.x.pixel_stride) {
      const float factor = row_factors[i];
      if (factor != 0.0F) add_scaled(sum, factor, combine<N>(x, a.x.pixel_stride, column_factors, a.x_width));
    }
    store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(sum));
  });
}

template <int N, typename T>
void launch(const SeparableArguments<T>& arguments, cudaStream_t stream) {
  const PixelBlocks blocks(arguments.batch, arguments.height * arguments.width, arguments.channels / N);
  constexpr auto kKernel = separable_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, arguments, blocks);
}

}  // namespace

template <typename T>
void separable(const SeparableArguments<T>& arguments, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  if (takes_vectors<kWidth>(arguments.x, arguments.channels) &&
      takes_vectors<kWidth>(arguments.y, arguments.channels)) {
    launch<kWidth>(arguments, stream);
  } else {
    launch<1>(arguments, stream);
  }
}

template void separable(const SeparableArguments<float>&, cudaStream_t);
template void separable(const SeparableArguments<Half>&, cudaStream_t);
template void separable(const SeparableArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
