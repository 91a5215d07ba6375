#include "cuda/kernels/silu.h"
#include "cuda/kernels/small_convolution.h"
#include "cuda/kernels/small_convolution_norm.h"
#include "cuda/kernels/small_convolution_tiles.h"

namespace dpm::cuda {
namespace sliced_convolution {
namespace {

/// Output channels that a thread finishes at once.
constexpr int kQuad = 4;
constexpr int kMostPixels = 1024;

using SmallTile = Tile<1, 1, small_convolution_plan::kTiles[0].map_pixels>;
using MiddleTile = Tile<2, 1, small_convolution_plan::kTiles[1].map_pixels>;
using LargeTile = Tile<4, 2, small_convolution_plan::kTiles[2].map_pixels>;

__device__ inline void add(Floats<kQuad>& sum, const Floats<kQuad>& term) {
  for (int i = 0; i < kQuad; ++i) sum.value[i] += term.value[i];
}

/// Calls `body(row, column)` for the thread's quads of the block's tile that exist.
template <typename Tile, typename Body>
__device__ void for_own_quads(const SmallConvolutionShape& shape, const Part& part, const Body& body) {
  constexpr int kQuads = Tile::kColumns / kQuad;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kQuads; i += kThreads) {
    const int row = i / kQuads;
    const int column = i % kQuads * kQuad;
    if (part.pixel + row >= shape.out_height * shape.out_width || part.column + column >= shape.out_channels) continue;
    body(row, column);
  }
}

/// Adds the sections one after the other.
template <typename Tile>
__device__ Floats<kQuad> sum_sections(const Bench<Tile>& bench, int row, int column) {
  Floats<kQuad> result = {};
  DPM_UNROLL
  for (const auto& section : bench.sums) add(result, load_floats<kQuad>(&section[row][column]));
  return result;
}

/// Returns the place of a slice's share of the block's tile in the workspace.
template <typename Tile>
__device__ float* share_of(float* workspace, const SmallConvolutionPlan& plan, const Part& part, int slice, int row,
                           int column) {
  const std::int64_t index = std::int64_t{part.tile} * plan.slices + slice;
  return workspace + (index * Tile::kRows + row) * Tile::kColumns + column;
}

/// Returns whether all other blocks of the tile have stored their shares; if so, resets the counter to 0.
__device__ inline bool is_last(unsigned* counter, int slices, bool& shared) {
  __syncthreads();
  if (threadIdx.x == 0) {
    // The fence makes the block's writes, which the barrier has made visible to this thread, visible to other blocks.
    __threadfence();
    shared = atomicAdd(counter, 1U) + 1 == static_cast<unsigned>(slices);
    if (shared) *counter = 0;
    __threadfence();
  }
  __syncthreads();
  return shared;
}

/// Applies the operations after the convolution to one pixel of the sample and the channels from `c` on.
template <typename T>
__device__ void finish(const SmallConvolutionArguments<T>& a, std::int64_t n, std::int64_t pixel, int c,
                       Floats<kQuad> value) {
  if (a.bias != nullptr) add(value, load_floats<kQuad>(a.bias + c));
  if (a.vector != nullptr) add(value, load_floats<kQuad>(a.vector + n * a.vector_stride + c));
  if (a.residual.data != nullptr) {
    add(value,
        load_floats<kQuad>(a.residual.data + n * a.residual.sample_stride + pixel * a.residual.pixel_stride + c));
  }
  for (float& number : value.value) {
    number *= a.scale;
    if (a.silu) number = silu_as<T>(number);
  }
  store_vector(a.y.data + n * a.y.sample_stride + pixel * a.y.pixel_stride + c, from_floats<T>(value));
}

template <typename T, typename Tile>
__global__ void __launch_bounds__(kThreads, 2)
    small_convolution_kernel(SmallConvolutionArguments<T> a, SmallConvolutionPlan plan) {
  __shared__ Bench<Tile> bench;
  const Part part(a.shape, plan);
  const WarpPlace<Tile> place;
  // The weights are loaded while the block norms its slice.
  Weights<T, Tile> weights(a, plan, part, place);
  norm_map(a, plan, part, bench);
  __syncthreads();
  Products<T, Tile> products(a, plan, part, place.lane);
  products.add(plan, a.shape.kernel, bench.map, place, weights);
  // The barrier comes before the sums, which overwrite the map.
  __syncthreads();
  products.put(bench, place);
  __syncthreads();
  if (plan.slices == 1) {
    for_own_quads<Tile>(a.shape, part, [&](int row, int column) {
      finish(a, part.sample, part.pixel + row, part.column + column, sum_sections<Tile>(bench, row, column));
    });
    return;
  }
  for_own_quads<Tile>(a.shape, part, [&](int row, int column) {
    const Floats<kQuad> sums = sum_sections<Tile>(bench, row, column);
    store_vector(share_of<Tile>(a.workspace, plan, part, part.slice, row, column), from_floats<float>(sums));
  });
  if (!is_last(a.counters + part.tile, plan.slices, bench.is_last)) return;
  for_own_quads<Tile>(a.shape, part, [&](int row, int column) {
    Floats<kQuad> value = {};
    for (int slice = 0; slice < plan.slices; ++slice) {
      add(value, load_floats<kQuad>(share_of<Tile>(a.workspace, plan, part, slice, row, column)));
    }
    finish(a, part.sample, part.pixel + row, part.column + column, value);
  });
}

template <typename T, typename Tile>
void launch(const SmallConvolutionArguments<T>& a, const SmallConvolutionPlan& plan, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(plan.slices), static_cast<unsigned>(plan.column_tiles),
                  static_cast<unsigned>(plan.row_tiles) * static_cast<unsigned>(a.shape.batch));
  constexpr auto kKernel = small_convolution_kernel<T, Tile>;
  DPM_LAUNCH(kKernel, grid, dim3(kThreads), stream, a, plan);
}

/// Returns whether the norm and its operands are all there, or none of them, and can be read.
template <typename T>
bool takes_norm(const SmallConvolutionArguments<T>& a) {
  const SmallConvolutionNorm<T>& norm = a.norm;
  const int channels = a.shape.in_channels;
  if (a.shape.groups == 0) {
    return norm.gamma == nullptr && norm.beta == nullptr && norm.bias == nullptr && norm.vector == nullptr &&
           norm.scale_shift == nullptr && !norm.silu;
  }
  return takes_floats<kAccess>(norm.gamma) && takes_floats<kAccess>(norm.beta) && takes_floats<kAccess>(norm.bias) &&
         (norm.vector == nullptr || takes_vectors<kAccess>(norm.vector, norm.vector_stride, channels)) &&
         (norm.scale_shift == nullptr || takes_vectors<kAccess>(norm.scale_shift, norm.scale_shift_stride, channels));
}

}  // namespace
}  // namespace sliced_convolution

int most_small_convolution_samples(const SmallConvolutionShape& shape) {
  return sliced_convolution::kMostPixels / (shape.out_height * shape.out_width);
}

bool takes_small_convolution(const SmallConvolutionShape& shape) {
  const bool has_kernel = shape.kernel == 1 || shape.kernel == 3;
  const bool has_stride = shape.stride == 1 || shape.stride == 2;
  return has_kernel && has_stride && shape.batch <= most_small_convolution_samples(shape) &&
         shape.in_channels % sliced_convolution::kAccess == 0 && shape.out_channels % sliced_convolution::kQuad == 0 &&
         (shape.groups == 0 || shape.in_channels % shape.groups == 0) && plan_small_convolution(shape).slices > 0;
}

template <typename T>
bool takes_small_convolution(const SmallConvolutionArguments<T>& a) {
  constexpr int kAccess = sliced_convolution::kAccess;
  constexpr int kQuad = sliced_convolution::kQuad;
  const int out = a.shape.out_channels;
  return takes_small_convolution(a.shape) && sliced_convolution::takes_norm(a) &&
         takes_vectors<kAccess>(a.x, a.shape.in_channels) && takes_vectors<kAccess>(a.weight, 0, a.shape.in_channels) &&
         takes_vectors<kQuad>(a.y, out) && takes_vectors<kQuad>(a.residual, out) && takes_floats<kQuad>(a.bias) &&
         (a.vector == nullptr || takes_vectors<kQuad>(a.vector, a.vector_stride, out));
}

std::int64_t small_convolution_workspace(const SmallConvolutionShape& shape) {
  const SmallConvolutionPlan plan = plan_small_convolution(shape);
  return plan.slices == 1 ? 0 : std::int64_t{shape.batch} * plan.blocks() * plan.rows * plan.columns;
}

std::int64_t small_convolution_counters(const SmallConvolutionShape& shape) {
  const SmallConvolutionPlan plan = plan_small_convolution(shape);
  return plan.slices == 1 ? 0 : std::int64_t{shape.batch} * plan.row_tiles * plan.column_tiles;
}

template <typename T>
void small_convolution(const SmallConvolutionArguments<T>& a, cudaStream_t stream) {
  using namespace sliced_convolution;
  const SmallConvolutionPlan plan = plan_small_convolution(a.shape);
  if (plan.rows == SmallTile::kRows) {
    launch<T, SmallTile>(a, plan, stream);
  } else if (plan.rows == MiddleTile::kRows) {
    launch<T, MiddleTile>(a, plan, stream);
  } else {
    launch<T, LargeTile>(a, plan, stream);
  }
}

template bool takes_small_convolution(const SmallConvolutionArguments<Half>&);
template bool takes_small_convolution(const SmallConvolutionArguments<Bfloat16>&);
template void small_convolution(const SmallConvolutionArguments<Half>&, cudaStream_t);
template void small_convolution(const SmallConvolutionArguments<Bfloat16>&, cudaStream_t);

}  // namespace dpm::cuda
