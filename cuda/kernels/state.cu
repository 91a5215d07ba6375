#include "backend/update_math.h"
#include "cuda/kernels/reduce_block.h"
#include "cuda/kernels/state.h"

namespace dpm::cuda {
namespace {

constexpr unsigned kThreads = 256;
/// Blocks per row; more would find nothing to do on the largest GPUs.
constexpr std::uint64_t kMostBlocks = 1024;

__global__ void __launch_bounds__(kThreads) gather_kernel(GatherArguments a) {
  const UpdateSample& sample = a.samples[blockIdx.y];
  if (sample.row == kNoRow) return;
  const bool read_y = (sample.record.flags & DPM_RECORD_READ_Y) != 0;
  const float* source = (read_y ? a.y.data : a.x.data) + sample.row * (read_y ? a.y.stride : a.x.stride);
  float* target = a.destination.data + sample.network_row * a.destination.stride;
  const float scale = sample.record.input_scale;
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < a.elements; i += step) {
    target[i] = scale * source[i];
  }
}

/// NaN stays the result of any comparison.
__device__ double larger(double a, double b) { return a > b || a != a ? a : b; }

__global__ void __launch_bounds__(kThreads) reduce_kernel(ReduceArguments a) {
  __shared__ double shared[kWarp];
  const float* x = a.a.data + blockIdx.x * a.a.stride;
  const float* y = a.kind == DPM_REDUCE_DOT ? a.b.data + blockIdx.x * a.b.stride : x;
  double result = 0;
  for (std::uint64_t i = threadIdx.x; i < a.elements; i += blockDim.x) {
    const double value = x[i];
    if (a.kind == DPM_REDUCE_MAX_ABS) {
      result = larger(result, value < 0 ? -value : value);
    } else {
      result += a.kind == DPM_REDUCE_SUM ? value : value * static_cast<double>(y[i]);
    }
  }
  if (a.kind == DPM_REDUCE_MAX_ABS) {
    result = block_reduce(result, shared, 0.0, larger);
  } else {
    result = block_sum(result, shared);
  }
  if (threadIdx.x == 0) a.result[blockIdx.x] = result;
}

/// Converts four levels per thread, which are written as one word.
__global__ void __launch_bounds__(kThreads)
    levels_kernel(const float* values, std::uint8_t* levels, std::uint64_t elements) {
  constexpr unsigned kLevels = sizeof(std::uint32_t);
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x * kLevels;
  for (std::uint64_t i = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kLevels; i < elements; i += step) {
    std::uint32_t word = 0;
    for (unsigned k = 0; k < kLevels; ++k) {
      const std::uint32_t level = i + k < elements ? update::level(values[i + k]) : 0;
      word |= level << (8 * k);
    }
    if (i + kLevels <= elements) {
      *reinterpret_cast<std::uint32_t*>(levels + i) = word;
    } else {
      for (unsigned k = 0; i + k < elements; ++k) levels[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
    }
  }
}

}  // namespace

void gather(const GatherArguments& arguments, cudaStream_t stream) {
  const std::uint64_t blocks = (arguments.elements + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), arguments.batch);
  DPM_LAUNCH(gather_kernel, grid, dim3(kThreads), stream, arguments);
}

void reduce(const ReduceArguments& arguments, cudaStream_t stream) {
  DPM_LAUNCH(reduce_kernel, dim3(arguments.batch), dim3(kThreads), stream, arguments);
}

void convert_to_levels(const float* values, std::uint8_t* levels, std::uint64_t elements, cudaStream_t stream) {
  constexpr std::uint64_t kElements = kThreads * sizeof(std::uint32_t);
  const std::uint64_t blocks = (elements + kElements - 1) / kElements;
  const dim3 grid(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
  DPM_LAUNCH(levels_kernel, grid, dim3(kThreads), stream, values, levels, elements);
}

}  // namespace dpm::cuda
