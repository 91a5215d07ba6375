#include "cuda/kernels/convolution.h"
#include "cuda/kernels/convolution_tile.h"
#include "cuda/kernels/silu.h"

namespace dpm::cuda {
namespace {

using LargeTile = Tile<64, 64, 4, 4, 1>;
using SmallTile = Tile<16, 16, 2, 2, kSections>;

/// Number of large tiles that keep the GPU busy: one on every multiprocessor of an H100.
constexpr std::int64_t kEnoughTiles = 132;

/// Loads `Count` neighbours of a row, of which `left` exist, in one access where `whole`.
template <int Count, typename T>
__device__ Vector<float, Count> read_channels(const T* source, int left, bool whole) {
  Vector<float, Count> result = {};
  if (whole) {
    const Vector<T, Count> vector = load_vector<Count>(source);
    for (int j = 0; j < Count; ++j) result.value[j] = to_float(vector.value[j]);
  } else {
    for (int j = 0; j < Count; ++j) {
      if (j < left) result.value[j] = to_float(source[j]);
    }
  }
  return result;
}

template <int Count>
__device__ void add(Vector<float, Count>& sum, const Vector<float, Count>& term) {
  for (int j = 0; j < Count; ++j) sum.value[j] += term.value[j];
}

/// Applies the operations after the convolution to one pixel and `Count` channels from `c` on.
template <typename T, int Count>
__device__ void finish(const ConvolutionArguments<T>& a, std::int64_t n, std::int64_t pixel, int c,
                       Vector<float, Count> value, bool whole) {
  const int left = a.out_channels - c;
  if (a.bias != nullptr) add(value, read_channels<Count>(a.bias + c, left, whole));
  if (a.vector != nullptr) add(value, read_channels<Count>(a.vector + n * a.vector_stride + c, left, whole));
  if (a.residual.data != nullptr) {
    const T* residual = a.residual.data + n * a.residual.sample_stride + pixel * a.residual.pixel_stride + c;
    add(value, read_channels<Count>(residual, left, whole));
  }
  Vector<T, Count> result;
  for (int j = 0; j < Count; ++j) {
    const float scaled = a.scale * value.value[j];
    result.value[j] = from_float<T>(a.silu ? silu_as<T>(scaled) : scaled);
  }
  T* y = a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c;
  if (whole) {
    store_vector(y, result);
  } else {
    for (int j = 0; j < Count; ++j) {
      if (j < left) y[j] = result.value[j];
    }
  }
}

/// The product of a group's sections, one after the other.
template <typename T, typename Tile, int Width>
__device__ Product<Tile> multiply(const ConvolutionArguments<T>& a, std::int64_t first_row, int first_column) {
  constexpr int kDepth = kStepDepth<Width>;
  constexpr int kGroupSections = kSections / Tile::kGroups;
  using Rows = Share<T, Width, Tile::kGroupThreads, Tile::kRows>;
  using Columns = Share<T, Width, Tile::kGroupThreads, Tile::kColumns>;
  // Two buffers of each operand: the next step is written while the last is read.
  alignas(16) __shared__ float rows[2][Tile::kGroups][kDepth * Tile::kRows];
  alignas(16) __shared__ float columns[2][Tile::kGroups][kDepth * Tile::kColumns];

  const int group = static_cast<int>(threadIdx.x) / Tile::kGroupThreads;
  const int thread = static_cast<int>(threadIdx.x) % Tile::kGroupThreads;
  const int row = thread / (Tile::kColumns / Tile::kThreadColumns) * Tile::kThreadRows;
  const int column = thread % (Tile::kColumns / Tile::kThreadColumns) * Tile::kThreadColumns;
  const int steps = (a.kernel * a.kernel * a.in_channels + kDepth - 1) / kDepth;
  const int section_steps = (steps + kSections - 1) / kSections;
  // Groups meet at barriers, so each does as many steps as the longest.
  const int group_steps = Tile::kGroups == 1 ? steps : section_steps * kGroupSections;

  const PixelReader<T, Width, Rows> pixels(a, first_row, thread);
  const WeightReader<T, Width, Columns> weights(first_column, thread);
  Tap tap(group * group_steps * kDepth + thread % Rows::kVectors * Width, a.kernel, a.in_channels);
  Rows next_rows;
  Columns next_columns;
  pixels.read(a, tap, next_rows);
  weights.read(a, tap, next_columns);

  Product<Tile> total;
  Product<Tile> section;
  int left = section_steps;
  for (int step = 0; step < group_steps; ++step) {
    float* own_rows = rows[step % 2][group];
    float* own_columns = columns[step % 2][group];
    next_rows.put(own_rows, thread);
    next_columns.put(own_columns, thread);
    __syncthreads();
    tap.advance(kDepth, a.kernel, a.in_channels);
    pixels.read(a, tap, next_rows);
    weights.read(a, tap, next_columns);
    section.template add<Width, Rows, Columns>(own_rows, own_columns, row, column);
    if (--left == 0) {
      total.add(section);
      section = {};
      left = section_steps;
    }
  }
  total.add(section);
  return total;
}

/// Adds the groups' products in the first group.
template <typename Tile>
__device__ void add_groups(Product<Tile>& product) {
  constexpr int kNumbers = Tile::kThreadRows * Tile::kThreadColumns;
  __shared__ float others[Tile::kGroups][kNumbers][Tile::kGroupThreads];
  const int group = static_cast<int>(threadIdx.x) / Tile::kGroupThreads;
  const int thread = static_cast<int>(threadIdx.x) % Tile::kGroupThreads;
  for (int i = 0; i < kNumbers; ++i) {
    others[group][i][thread] = product.sum[i / Tile::kThreadColumns][i % Tile::kThreadColumns];
  }
  __syncthreads();
  if (group != 0) return;
  for (int other = 1; other < Tile::kGroups; ++other) {
    for (int i = 0; i < kNumbers; ++i) {
      product.sum[i / Tile::kThreadColumns][i % Tile::kThreadColumns] += others[other][i][thread];
    }
  }
}

template <typename T, typename Tile, int Width>
__global__ void __launch_bounds__(Tile::kThreads, 2) convolution_kernel(ConvolutionArguments<T> a, bool whole) {
  constexpr int kThreadsAcross = Tile::kColumns / Tile::kThreadColumns;
  const std::int64_t first_row = std::int64_t{blockIdx.x} * Tile::kRows;
  const int first_column = static_cast<int>(blockIdx.y) * Tile::kColumns;
  Product<Tile> product = multiply<T, Tile, Width>(a, first_row, first_column);
  if constexpr (Tile::kGroups > 1) add_groups(product);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= Tile::kGroupThreads) return;

  const int c = first_column + thread % kThreadsAcross * Tile::kThreadColumns;
  if (c >= a.out_channels) return;
  const std::int64_t pixels = std::int64_t{a.out_height} * a.out_width;
  for (int i = 0; i < Tile::kThreadRows; ++i) {
    const std::int64_t row = first_row + thread / kThreadsAcross * Tile::kThreadRows + i;
    const std::int64_t n = row / pixels;
    if (n >= a.batch) return;
    Vector<float, Tile::kThreadColumns> value;
    for (int j = 0; j < Tile::kThreadColumns; ++j) value.value[j] = product.sum[i][j];
    finish(a, n, row % pixels, c, value, whole);
  }
}

template <typename Tile>
std::int64_t tiles_across(std::int64_t rows) {
  return (rows + Tile::kRows - 1) / Tile::kRows;
}
template <typename Tile>
std::int64_t tiles_down(int columns) {
  return (columns + Tile::kColumns - 1) / Tile::kColumns;
}

template <typename T>
std::int64_t rows_of(const ConvolutionArguments<T>& a) {
  return std::int64_t{a.batch} * a.out_height * a.out_width;
}

template <typename T, typename Tile, int Width>
void launch(const ConvolutionArguments<T>& a, cudaStream_t stream) {
  constexpr int kColumns = Tile::kThreadColumns;
  const bool whole = takes_vectors<kColumns>(a.y, a.out_channels) &&
                     takes_vectors<kColumns>(a.residual, a.out_channels) &&
                     takes_vectors<kColumns>(a.bias, 0, a.out_channels) &&
                     takes_vectors<kColumns>(a.vector, a.vector_stride, a.out_channels);
  const dim3 grid(static_cast<unsigned>(tiles_across<Tile>(rows_of(a))),
                  static_cast<unsigned>(tiles_down<Tile>(a.out_channels)));
  constexpr auto kKernel = convolution_kernel<T, Tile, Width>;
  DPM_LAUNCH(kKernel, grid, dim3(Tile::kThreads), stream, a, whole);
}

template <typename T, typename Tile>
void launch(const ConvolutionArguments<T>& a, cudaStream_t stream) {
  constexpr int kWidth = kVectorWidth<T>;
  // A row of the weight has a multiple of the channels as its length, so it is aligned as they are.
  if (takes_vectors<kWidth>(a.x, a.in_channels) && takes_vectors<kWidth>(a.weight, 0, a.in_channels)) {
    launch<T, Tile, kWidth>(a, stream);
  } else {
    launch<T, Tile, 1>(a, stream);
  }
}

template <typename T>
ConvolutionTile tile_for(const ConvolutionArguments<T>& a) {
  const std::int64_t tiles = tiles_across<LargeTile>(rows_of(a)) * tiles_down<LargeTile>(a.out_channels);
  const bool narrow = a.out_channels <= SmallTile::kColumns;
  return tiles < kEnoughTiles || narrow ? ConvolutionTile::kSmall : ConvolutionTile::kLarge;
}

}  // namespace

template <typename T>
void convolution(const ConvolutionArguments<T>& arguments, ConvolutionTile tile, cudaStream_t stream) {
  if (tile == ConvolutionTile::kLarge) {
    launch<T, LargeTile>(arguments, stream);
  } else {
    launch<T, SmallTile>(arguments, stream);
  }
}

template <typename T>
void convolution(const ConvolutionArguments<T>& arguments, cudaStream_t stream) {
  convolution(arguments, tile_for(arguments), stream);
}

template void convolution(const ConvolutionArguments<float>&, cudaStream_t);
template void convolution(const ConvolutionArguments<Half>&, cudaStream_t);
template void convolution(const ConvolutionArguments<Bfloat16>&, cudaStream_t);
template void convolution(const ConvolutionArguments<float>&, ConvolutionTile, cudaStream_t);
template void convolution(const ConvolutionArguments<Half>&, ConvolutionTile, cudaStream_t);
template void convolution(const ConvolutionArguments<Bfloat16>&, ConvolutionTile, cudaStream_t);

}  // namespace dpm::cuda
