#include <algorithm>

#include "cuda/kernels/convolution_weights.h"
#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/weight_sums.h"

namespace dpm::cuda {
namespace {

constexpr int kThreads = 256;
/// Rows and columns of a block's tile: output channels, and input channels of taps.
constexpr int kTile = 64;
/// Rows and columns of a thread.
constexpr int kOwn = 4;
/// Pixels of a step.
constexpr int kDepth = 16;
/// Steps whose products are summed on their own, because a long sum in float32 loses digits.
constexpr int kStepsTogether = 64;
/// Least number of blocks where the pixels suffice, and of pixels of a part.
constexpr std::int64_t kBlocks = 512;
constexpr std::int64_t kLeastPixels = 256;

std::int64_t tiles(std::int64_t length) { return (length + kTile - 1) / kTile; }

/// The parts of the depth; the last one may have fewer pixels.
struct Parts {
  std::int64_t most;  ///< limit of the count, which more rows never lower
  std::int64_t pixels;
  int count;

  explicit Parts(const ConvolutionWeightsShape& shape) {
    const std::int64_t blocks = tiles(shape.out_channels) * tiles(shape.weights() / shape.out_channels);
    const std::int64_t total = shape.pixels();
    most = std::min((kBlocks - 1) / blocks + 1, (total - 1) / kLeastPixels + 1);
    pixels = ((total - 1) / most / kDepth + 1) * kDepth;
    count = static_cast<int>((total - 1) / pixels + 1);
  }
};

/// A thread's share of a step's operands on its way to shared memory: vectors of N channels of one or several pixels.
template <int N>
struct StepShare {
  static constexpr int kVectors = kTile / N;
  static constexpr int kPixelStride = kThreads / kVectors;
  static constexpr int kCount = kDepth / kPixelStride;
  static_assert(kCount * kPixelStride == kDepth);

  Floats<N> vector[kCount];

  static __device__ int first_channel() { return static_cast<int>(threadIdx.x) % kVectors * N; }
  static __device__ int pixel(int i) { return static_cast<int>(threadIdx.x) / kVectors + i * kPixelStride; }

  __device__ void put(float (*shared)[kTile]) const {
    DPM_UNROLL
    for (int i = 0; i < kCount; ++i) {
      DPM_UNROLL
      for (int j = 0; j < N; ++j) shared[pixel(i)][first_channel() + j] = vector[i].value[j];
    }
  }
};

/// Reads a thread's channels of the cotangent.
template <typename T, int N>
struct CotangentReader {
  const T* data;
  std::int64_t pixels_of_row;

  __device__ CotangentReader(const ConvolutionWeightsArguments<T>& a, int first)
      : data(nullptr), pixels_of_row(std::int64_t{a.shape.out_height} * a.shape.out_width) {
    const int channel = first + StepShare<N>::first_channel();
    if (channel < a.shape.out_channels) data = a.d.data + channel;
  }

  __device__ void read(const ConvolutionWeightsArguments<T>& a, std::int64_t first, std::int64_t end,
                       StepShare<N>& share) const {
    DPM_UNROLL
    for (int i = 0; i < StepShare<N>::kCount; ++i) {
      const std::int64_t place = first + StepShare<N>::pixel(i);
      share.vector[i] = {};
      if (data == nullptr || place >= end) continue;
      const std::int64_t n = place / pixels_of_row;
      const std::int64_t pixel = place - n * pixels_of_row;
      share.vector[i] = load_floats<N>(data + n * a.d.sample_stride + pixel * a.d.pixel_stride);
    }
  }
};

/// Reads a thread's channels of the map at one tap.
template <typename T, int N>
struct TapReader {
  const T* data = nullptr;
  int y = 0;
  int x = 0;

  __device__ TapReader(const ConvolutionWeightsArguments<T>& a, int first) {
    const int column = first + StepShare<N>::first_channel();
    const int tap = column / a.shape.in_channels;
    if (tap >= a.shape.kernel * a.shape.kernel) return;
    data = a.x.data + (column - tap * a.shape.in_channels);
    y = tap / a.shape.kernel - a.shape.pad_before;
    x = tap % a.shape.kernel - a.shape.pad_before;
  }

  __device__ void read(const ConvolutionWeightsArguments<T>& a, std::int64_t first, std::int64_t end,
                       StepShare<N>& share) const {
    const int pixels_of_row = a.shape.out_height * a.shape.out_width;
    DPM_UNROLL
    for (int i = 0; i < StepShare<N>::kCount; ++i) {
      const std::int64_t place = first + StepShare<N>::pixel(i);
      share.vector[i] = {};
      if (data == nullptr || place >= end) continue;
      const std::int64_t n = place / pixels_of_row;
      const int pixel = static_cast<int>(place - n * pixels_of_row);
      const int out_y = pixel / a.shape.out_width;
      const int row = out_y * a.shape.stride + y;
      const int column = (pixel - out_y * a.shape.out_width) * a.shape.stride + x;
      if (row < 0 || row >= a.shape.in_height || column < 0 || column >= a.shape.in_width) continue;
      const std::int64_t source = std::int64_t{row} * a.shape.in_width + column;
      share.vector[i] = load_floats<N>(data + n * a.x.sample_stride + source * a.x.pixel_stride);
    }
  }
};

/// The sums of a thread.
struct OwnSums {
  float value[kOwn][kOwn] = {};

  __device__ void add_step(const float (*left)[kTile], const float (*right)[kTile], int row, int column) {
    DPM_UNROLL
    for (int depth = 0; depth < kDepth; ++depth) {
      const auto rows = load_vector<kOwn>(&left[depth][row]);
      const auto columns = load_vector<kOwn>(&right[depth][column]);
      DPM_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        DPM_UNROLL
        for (int j = 0; j < kOwn; ++j) value[i][j] += rows.value[i] * columns.value[j];
      }
    }
  }

  __device__ void add(const OwnSums& other) {
    DPM_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      DPM_UNROLL
      for (int j = 0; j < kOwn; ++j) value[i][j] += other.value[i][j];
    }
  }
};

/// Writes one part's sums of a tile to the workspace.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads) part_kernel(ConvolutionWeightsArguments<T> a, Parts parts) {
  alignas(16) __shared__ float left[kDepth][kTile];
  alignas(16) __shared__ float right[kDepth][kTile];
  const std::int64_t first = blockIdx.z * parts.pixels;
  const std::int64_t total = a.shape.pixels();
  const std::int64_t end = total - first < parts.pixels ? total : first + parts.pixels;
  const int first_row = static_cast<int>(blockIdx.y) * kTile;
  const int first_column = static_cast<int>(blockIdx.x) * kTile;
  const CotangentReader<T, N> rows(a, first_row);
  const TapReader<T, N> columns(a, first_column);
  const int row = static_cast<int>(threadIdx.x) / (kTile / kOwn) * kOwn;
  const int column = static_cast<int>(threadIdx.x) % (kTile / kOwn) * kOwn;

  StepShare<N> left_share;
  StepShare<N> right_share;
  rows.read(a, first, end, left_share);
  columns.read(a, first, end, right_share);
  OwnSums total_sums;
  OwnSums sums;
  int steps = 0;
  for (std::int64_t place = first; place < end; place += kDepth) {
    __syncthreads();
    left_share.put(left);
    right_share.put(right);
    __syncthreads();
    // The next operands are on their way while these are multiplied.
    rows.read(a, place + kDepth, end, left_share);
    columns.read(a, place + kDepth, end, right_share);
    sums.add_step(left, right, row, column);
    if (++steps % kStepsTogether == 0) {
      total_sums.add(sums);
      sums = {};
    }
  }
  total_sums.add(sums);

  const int depth = a.shape.kernel * a.shape.kernel * a.shape.in_channels;
  float* part = a.workspace + blockIdx.z * a.shape.weights();
  DPM_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    const int out = first_row + row + i;
    DPM_UNROLL
    for (int j = 0; j < kOwn; ++j) {
      const int place = first_column + column + j;
      if (out < a.shape.out_channels && place < depth) part[std::int64_t{out} * depth + place] = total_sums.value[i][j];
    }
  }
}

template <int N, typename T>
void launch(const ConvolutionWeightsArguments<T>& arguments, const Parts& parts, cudaStream_t stream) {
  const ConvolutionWeightsShape& shape = arguments.shape;
  const dim3 grid(static_cast<unsigned>(tiles(shape.weights() / shape.out_channels)),
                  static_cast<unsigned>(tiles(shape.out_channels)), static_cast<unsigned>(parts.count));
  constexpr auto kKernel = part_kernel<T, N>;
  DPM_LAUNCH(kKernel, grid, dim3(kThreads), stream, arguments, parts);
}

}  // namespace

std::int64_t convolution_weights_workspace(const ConvolutionWeightsShape& shape) {
  return Parts(shape).most * shape.weights();
}

template <typename T>
void convolution_weights(const ConvolutionWeightsArguments<T>& arguments, cudaStream_t stream) {
  const ConvolutionWeightsShape& shape = arguments.shape;
  const Parts parts(shape);
  if (takes_vectors<kOwn>(arguments.x, shape.in_channels) && takes_vectors<kOwn>(arguments.d, shape.out_channels)) {
    launch<kOwn>(arguments, parts, stream);
  } else {
    launch<1>(arguments, parts, stream);
  }
  add_weight_sums<float>({arguments.workspace, parts.count, shape.weights(), shape.out_channels,
                          shape.kernel * shape.kernel, shape.in_channels, shape.in_channels, arguments.sum},
                         stream);
}

template void convolution_weights(const ConvolutionWeightsArguments<float>&, cudaStream_t);
template void convolution_weights(const ConvolutionWeightsArguments<Half>&, cudaStream_t);
template void convolution_weights(const ConvolutionWeightsArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
