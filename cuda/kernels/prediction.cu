#include "cuda/kernels/load_floats.h"
#include "cuda/kernels/prediction.h"
#include "cuda/kernels/tensor_core.h"

namespace dpm::cuda {
namespace {

/// Size of a tile of sums: pixels of a block, and output channels.
constexpr int kRows = 16;
constexpr int kColumns = 8;
/// Warps of a block, each with a section of the depth: a single sample gives few blocks with a large depth.
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * static_cast<int>(kWarp);
static_assert(kThreads == kRows * kColumns);
/// Channels of a step of a warp: those of two tiles.
constexpr int kChunk = 32;

/// The place where a lane's row of a tile reads x.
template <typename T>
struct PixelOfX {
  const T* sample;
  std::int64_t pixel_stride;
  int top;
  int left;

  __device__ PixelOfX(const PredictionArguments<T>& a, int pixel)
      : sample(a.x.data + blockIdx.y * a.x.sample_stride),
        pixel_stride(a.x.pixel_stride),
        top(pixel / a.shape.out_width * a.shape.stride - a.shape.pad_before),
        left(pixel % a.shape.out_width * a.shape.stride - a.shape.pad_before) {}

  /// Reads channels, zero outside the map.
  [[nodiscard]] __device__ FactorWords read(const PredictionShape& shape, int tap, int channel) const {
    const int i = top + tap / shape.kernel;
    const int j = left + tap % shape.kernel;
    if (i < 0 || i >= shape.in_height || j < 0 || j >= shape.in_width || channel >= shape.in_channels) return {};
    return load_factors(sample + (std::int64_t{i} * shape.in_width + j) * pixel_stride + channel);
  }
};

/// A warp's section of the sums.
template <typename T>
__device__ TileSums sum_section(const PredictionArguments<T>& a, int section) {
  const PredictionShape& shape = a.shape;
  const TileLane lane = tile_lane();
  const int pixels = shape.out_height * shape.out_width;
  const int first = static_cast<int>(blockIdx.x) * kRows + lane.group;
  // Rows beyond the last pixel repeat pixel 0 and are not stored.
  const PixelOfX<T> upper(a, first < pixels ? first : 0);
  const PixelOfX<T> lower(a, first + kRows / 2 < pixels ? first + kRows / 2 : 0);
  const int taps = shape.kernel * shape.kernel;
  const int chunks = (shape.in_channels + kChunk - 1) / kChunk;
  const T* weight = a.weight + std::int64_t{lane.group} * taps * shape.in_channels;
  TileSums sums = {};
  for (int step = section; step < taps * chunks; step += kWarps) {
    const int tap = step / chunks;
    const int channel = step % chunks * kChunk + lane.pair * kFactors;
    const FactorWords above = upper.read(shape, tap, channel);
    const FactorWords below = lower.read(shape, tap, channel);
    FactorWords factors = {};
    if (lane.group < shape.out_channels && channel < shape.in_channels) {
      factors = load_factors(weight + tap * shape.in_channels + channel);
    }
    DPM_UNROLL
    for (int i = 0; i < 2; ++i) multiply_tile<T>(sums, left_tile(above, below, i), right_tile(factors, i));
  }
  return sums;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) predict_kernel(PredictionArguments<T> a) {
  // Rows have one more column than necessary, so that a warp's accesses fall into different banks.
  __shared__ float sums[kWarps][kRows][kColumns + 1];
  const auto thread = static_cast<int>(threadIdx.x);
  const int section = thread / static_cast<int>(kWarp);
  const TileSums own = sum_section(a, section);
  const TileLane lane = tile_lane();
  DPM_UNROLL
  for (int i = 0; i < 4; ++i) sums[section][lane.group + i / 2 * 8][2 * lane.pair + i % 2] = own.value[i];
  __syncthreads();
  const int c = thread % kColumns;
  const int row = thread / kColumns;
  const int pixel = static_cast<int>(blockIdx.x) * kRows + row;
  if (pixel >= a.shape.out_height * a.shape.out_width || c >= a.shape.out_channels) return;
  float value = a.bias != nullptr ? a.bias[c] : 0.0F;
  DPM_UNROLL
  for (const auto& of_section : sums) value += of_section[row][c];
  a.y.data[blockIdx.y * a.y.sample_stride + pixel * a.y.pixel_stride + c] = value;
}

}  // namespace

bool takes_prediction(const PredictionShape& shape) {
  return shape.out_channels <= kColumns && shape.in_channels % kFactors == 0;
}

template <typename T>
void predict(const PredictionArguments<T>& arguments, cudaStream_t stream) {
  const int pixels = arguments.shape.out_height * arguments.shape.out_width;
  const dim3 grid(static_cast<unsigned>((pixels + kRows - 1) / kRows), static_cast<unsigned>(arguments.batch));
  DPM_LAUNCH(predict_kernel<T>, grid, dim3(kThreads), stream, arguments);
}

template void predict(const PredictionArguments<Half>&, cudaStream_t);
template void predict(const PredictionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
