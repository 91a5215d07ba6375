#include "cuda/kernels/fir.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/pixel_blocks.h"

namespace dpm::cuda {
namespace {

/// The channels of one thread in a map of one sample.
template <typename T>
struct Plane {
  T* data;
  std::int64_t pixel_stride;
  int height;
  int width;

  __device__ Plane(const Map<T>& map, std::int64_t n, int c, int rows, int columns)
      : data(map.data + n * map.sample_stride + c), pixel_stride(map.pixel_stride), height(rows), width(columns) {}

  [[nodiscard]] __device__ bool has(int row, int column) const {
    return row >= 0 && row < height && column >= 0 && column < width;
  }
  [[nodiscard]] __device__ T* at(int row, int column) const {
    return data + (static_cast<std::int64_t>(row) * width + column) * pixel_stride;
  }
};

/// Loads channels of a pixel, zeros outside the map.
template <int N, typename T>
__device__ Floats<N> load_inside(const Plane<const T>& plane, int row, int column) {
  if (plane.has(row, column)) return load_floats<N>(plane.at(row, column));
  return {};
}

template <int N, typename T>
__device__ void store_inside(const Plane<T>& plane, int row, int column, const Floats<N>& value) {
  if (plane.has(row, column)) store_vector(plane.at(row, column), from_floats<T>(value));
}

/// Computes the element of the larger map between the two, next to `near`.
template <int N>
__device__ Floats<N> blend(const Floats<N>& near, const Floats<N>& far) {
  Floats<N> result;
  for (int i = 0; i < N; ++i) result.value[i] = 0.75F * near.value[i] + 0.25F * far.value[i];
  return result;
}

template <int N>
__device__ void add_scaled(Floats<N>& sum, float factor, const Floats<N>& term) {
  for (int i = 0; i < N; ++i) sum.value[i] += factor * term.value[i];
}

/// Computes 2 x 2 elements of y, which lie between four elements of x and depend on these alone, so that a thread reads
/// as much as it writes. `x_height` by `x_width` elements have one more of these squares along either axis; the squares
/// at the border are partly outside y, or entirely inside with an extension of 1.
template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    fir_upsample_kernel(Map<const T> x, Map<T> y, int x_height, int x_width, int extension, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t square, int vector) {
    const int bottom = static_cast<int>(square) / (x_width + 1);
    const int right = static_cast<int>(square) - bottom * (x_width + 1);
    const Plane<const T> in(x, n, vector * N, x_height, x_width);
    const Floats<N> first = load_inside<N>(in, bottom - 1, right - 1);
    const Floats<N> second = load_inside<N>(in, bottom - 1, right);
    const Floats<N> third = load_inside<N>(in, bottom, right - 1);
    const Floats<N> fourth = load_inside<N>(in, bottom, right);
    const Floats<N> top_left = blend(first, second);
    const Floats<N> top_right = blend(second, first);
    const Floats<N> bottom_left = blend(third, fourth);
    const Floats<N> bottom_right = blend(fourth, third);
    const Plane<T> out(y, n, vector * N, 2 * (x_height + extension), 2 * (x_width + extension));
    const int row = 2 * bottom - 1 + extension;
    const int column = 2 * right - 1 + extension;
    store_inside(out, row, column, blend(top_left, bottom_left));
    store_inside(out, row, column + 1, blend(top_right, bottom_right));
    store_inside(out, row + 1, column, blend(bottom_left, top_left));
    store_inside(out, row + 1, column + 1, blend(bottom_right, top_right));
  });
}

/// Downsamples; `height` and `width` are the smaller map's.
template <typename T, int N>
__global__ void __launch_bounds__(PixelBlocks::kThreads)
    fir_downsample_kernel(Map<const T> x, Map<T> y, int height, int width, int pad, PixelBlocks blocks) {
  blocks.for_own_vectors([&](std::int64_t n, std::int64_t pixel, int vector) {
    const int row = static_cast<int>(pixel) / width;
    const int column = static_cast<int>(pixel) - row * width;
    const Plane<const T> in(x, n, vector * N, 2 * (height + 1 - pad), 2 * (width + 1 - pad));
    Floats<N> sum{};
    DPM_UNROLL
    for (int i = 0; i < 4; ++i) {
      Floats<N> across{};
      DPM_UNROLL
      for (int j = 0; j < 4; ++j) {
        const float tap = j == 0 || j == 3 ? 0.125F : 0.375F;
        add_scaled(across, tap, load_inside<N>(in, 2 * row - pad + i, 2 * column - pad + j));
      }
      add_scaled(sum, i == 0 || i == 3 ? 0.125F : 0.375F, across);
    }
    store_vector(Plane<T>(y, n, vector * N, height, width).at(row, column), from_floats<T>(sum));
  });
}

template <int N, typename T>
bool is_wide(const ResampleArguments<T>& a) {
  return takes_vectors<N>(a.x, a.channels) && takes_vectors<N>(a.y, a.channels);
}

template <int N, typename T>
void launch_upsample(const ResampleArguments<T>& a, cudaStream_t stream) {
  const int height = a.height / 2 - a.extension;
  const int width = a.width / 2 - a.extension;
  const PixelBlocks blocks(a.batch, (height + 1) * (width + 1), a.channels / N);
  constexpr auto kKernel = fir_upsample_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a.x, a.y, height, width, a.extension, blocks);
}

template <int N, typename T>
void launch_downsample(const ResampleArguments<T>& a, cudaStream_t stream) {
  const PixelBlocks blocks(a.batch, a.height * a.width, a.channels / N);
  constexpr auto kKernel = fir_downsample_kernel<T, N>;
  DPM_LAUNCH(kKernel, blocks.grid(), blocks.block(), stream, a.x, a.y, a.height, a.width, a.pad, blocks);
}

}  // namespace

template <typename T>
void fir_upsample(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch_upsample<kVectorWidth<T>>(arguments, stream);
  } else {
    launch_upsample<1>(arguments, stream);
  }
}

template <typename T>
void fir_downsample(const ResampleArguments<T>& arguments, cudaStream_t stream) {
  if (is_wide<kVectorWidth<T>>(arguments)) {
    launch_downsample<kVectorWidth<T>>(arguments, stream);
  } else {
    launch_downsample<1>(arguments, stream);
  }
}

template void fir_upsample(const ResampleArguments<float>&, cudaStream_t);
template void fir_upsample(const ResampleArguments<Half>&, cudaStream_t);
template void fir_upsample(const ResampleArguments<Bfloat16>&, cudaStream_t);
template void fir_downsample(const ResampleArguments<float>&, cudaStream_t);
template void fir_downsample(const ResampleArguments<Half>&, cudaStream_t);
template void fir_downsample(const ResampleArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
