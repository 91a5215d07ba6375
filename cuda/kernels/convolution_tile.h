// The tiles of the implicit GEMM in convolution.cu: rows are the pixels of all samples, columns the output channels,
// the depth is kernel * kernel * in_channels.
#pragma once

#include "cuda/kernels/convolution.h"
#include "cuda/kernels/vector_access.h"

namespace dpm::cuda {

/// Number of sections of the depth. Every tile adds the same sections in the same order, by one group of threads after
/// the other or by several groups at once, so that the tile (which depends on the batch) does not affect the result.
constexpr int kSections = 4;

/// Sizes of a tile: rows and columns of a block and of one of its threads, and the groups of threads that share the
/// sections.
template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Groups>
struct Tile {
  static constexpr int kRows = Rows;
  static constexpr int kColumns = Columns;
  static constexpr int kThreadRows = ThreadRows;
  static constexpr int kThreadColumns = ThreadColumns;
  static constexpr int kGroups = Groups;
  static constexpr int kGroupThreads = Rows / ThreadRows * (Columns / ThreadColumns);
  static constexpr int kThreads = kGroupThreads * Groups;
};

/// Depth of a step.
template <int Width>
constexpr int kStepDepth = Width == 1 ? 16 : 4 * Width;

/// A place in the depth: a tap of the kernel and a channel.
struct Tap {
  int depth;
  int y;
  int x;
  int channel;

  __device__ Tap(int first, int kernel, int channels)
      : depth(first), y(first / channels / kernel), x(first / channels % kernel), channel(first % channels) {}

  __device__ void advance(int by, int kernel, int channels) {
    depth += by;
    channel += by;
    while (channel >= channels) {
      channel -= channels;
      if (++x == kernel) {
        x = 0;
        ++y;
      }
    }
  }
};

/// A thread's share of a step on its way to shared memory: `kCount` vectors from lines (rows or columns) that are
/// kStride apart, all at the same depth.
template <typename T, int Width, int GroupThreads, int Lines>
struct Share {
  static constexpr int kVectors = kStepDepth<Width> / Width;
  static constexpr int kStride = GroupThreads / kVectors;
  static constexpr int kCount = Lines / kStride;
  static_assert(kCount * kStride == Lines);

  Vector<T, Width> vector[kCount];

  /// Returns the place of an element: depth-major, with the lines of a depth permuted so that a warp's writes spread
  /// over the banks.
  __device__ static int place(int depth, int line) { return depth * Lines + (line ^ (depth / Width * 8 % Lines)); }

  __device__ void put(float* shared, int thread) const {
    const int depth = thread % kVectors * Width;
    for (int i = 0; i < kCount; ++i) {
      for (int j = 0; j < Width; ++j) {
        shared[place(depth + j, thread / kVectors + i * kStride)] = to_float(vector[i].value[j]);
      }
    }
  }
};

/// Reads a thread's share of the enlarged and padded x.
template <typename T, int Width, typename Share>
struct PixelReader {
  const T* sample[Share::kCount];
  int y[Share::kCount];
  int x[Share::kCount];

  __device__ PixelReader(const ConvolutionArguments<T>& a, std::int64_t first_row, int thread) {
    const std::int64_t pixels = std::int64_t{a.out_height} * a.out_width;
    for (int i = 0; i < Share::kCount; ++i) {
      const std::int64_t row = first_row + thread / Share::kVectors + i * Share::kStride;
      const std::int64_t n = row / pixels;
      const int pixel = static_cast<int>(row % pixels);
      sample[i] = n < a.batch ? a.x.data + n * a.x.sample_stride : nullptr;
      y[i] = pixel / a.out_width * a.stride - a.pad_before;
      x[i] = pixel % a.out_width * a.stride - a.pad_before;
    }
  }

  __device__ void read(const ConvolutionArguments<T>& a, const Tap& tap, Share& share) const {
    const int shift = a.enlargement == Enlargement::kNone ? 0 : 1;
    const int zeros = a.enlargement == Enlargement::kZeros ? 1 : 0;
    for (int i = 0; i < Share::kCount; ++i) {
      const int row = (y[i] + tap.y) >> shift;
      const int column = (x[i] + tap.x) >> shift;
      const bool is_zero = ((y[i] + tap.y) & zeros) != 0 || ((x[i] + tap.x) & zeros) != 0;
      const bool inside = sample[i] != nullptr && tap.y < a.kernel && row >= 0 && row < a.in_height && column >= 0 &&
                          column < a.in_width && !is_zero;
      share.vector[i] = {};
      if (!inside) continue;
      const std::int64_t pixel = std::int64_t{row} * a.in_width + column;
      share.vector[i] = load_vector<Width>(sample[i] + pixel * a.x.pixel_stride + tap.channel);
    }
  }
};

/// Reads a thread's share of the weight.
template <typename T, int Width, typename Share>
struct WeightReader {
  int first;

  __device__ WeightReader(int first_column, int thread) : first(first_column + thread / Share::kVectors) {}

  __device__ void read(const ConvolutionArguments<T>& a, const Tap& tap, Share& share) const {
    const int depth = a.kernel * a.kernel * a.in_channels;
    for (int i = 0; i < Share::kCount; ++i) {
      const int column = first + i * Share::kStride;
      share.vector[i] = {};
      if (column >= a.out_channels || tap.depth >= depth) continue;
      share.vector[i] = load_vector<Width>(a.weight + std::int64_t{column} * depth + tap.depth);
    }
  }
};

/// The product of one thread.
template <typename Tile>
struct Product {
  float sum[Tile::kThreadRows][Tile::kThreadColumns] = {};

  __device__ void add(const Product& other) {
    for (int i = 0; i < Tile::kThreadRows; ++i) {
      for (int j = 0; j < Tile::kThreadColumns; ++j) sum[i][j] += other.sum[i][j];
    }
  }

  /// Adds one step.
  template <int Width, typename Rows, typename Columns>
  __device__ void add(const float* rows, const float* columns, int row, int column) {
    for (int depth = 0; depth < kStepDepth<Width>; ++depth) {
      const auto left = load_vector<Tile::kThreadRows>(rows + Rows::place(depth, row));
      const auto right = load_vector<Tile::kThreadColumns>(columns + Columns::place(depth, column));
      for (int i = 0; i < Tile::kThreadRows; ++i) {
        for (int j = 0; j < Tile::kThreadColumns; ++j) sum[i][j] += left.value[i] * right.value[j];
      }
    }
  }
};

}  // namespace dpm::cuda
